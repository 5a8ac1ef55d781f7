"""The text of a file that a person edits, whatever editor saved it: UTF-8 with or without a byte order mark, any line
ends.

A path in, its text out. A file in another encoding raises a ``SettingsError`` that names the encoding, or the first
line that is not UTF-8, and says how to save the file.
"""

from pathlib import Path

from stocklib.errors import SettingsError

_MARK = "\ufeff"
# longer marks first: the mark of UTF-32 begins like that of UTF-16
_OTHERS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def read_text(path: Path) -> str:
    r"""Return the text of a UTF-8 file without its byte order marks, each line end as ``\n``.

    A missing file is ``FileNotFoundError``; one that cannot be read, or is in another encoding, ``SettingsError``.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from error
    if trouble := encoding_trouble(content):
        raise SettingsError(f"{path} {trouble}")
    return content.decode("utf-8").lstrip(_MARK).replace("\r\n", "\n").replace("\r", "\n")


def encoding_trouble(content: bytes) -> str | None:
    r"""Return what is wrong with bytes that should be UTF-8 text, and how to mend the file; None where they are.

    >>> encoding_trouble("symbol;name\nZZZ;Soci\u00e9t\u00e9\n".encode("cp1252"))
    'is not UTF-8: line 2 holds the byte 0xe9, as Windows-1252 and Latin-1 write it; save the file as UTF-8'
    >>> encoding_trouble("old,new,date".encode("utf-16"))
    'is saved as UTF-16 and must be UTF-8; save the file as UTF-8 ("CSV UTF-8" in Excel)'
    """
    advice = 'save the file as UTF-8 ("CSV UTF-8" in Excel)'
    for mark, encoding in _OTHERS:
        if content.startswith(mark):
            return f"is saved as {encoding} and must be UTF-8; {advice}"
    if b"\x00" in content[:1024]:
        return f"holds zero bytes, as UTF-16 without a mark and damaged files do; {advice}"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        # lines are counted as the decoded part shows them
        line = len((content[: error.start].decode("utf-8") + "x").splitlines())
        return (
            f"is not UTF-8: line {line} holds the byte {content[error.start]:#04x}, as Windows-1252 and Latin-1 write "
            "it; save the file as UTF-8"
        )
    return None
