"""Write, list and read the lake's objects, over any S3; the errors say which setting to check."""

import gzip
import hashlib
import logging
import math
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from stocklib.errors import CorruptObject, LakeError, MissingObject
from stocklib.lake.keys import KeyParts, format_key, name_history, parse_key, start_of_hour
from stocklib.logs import hide_secrets
from stocklib.settings import Settings

log = logging.getLogger(__name__)

# Keys, region and address are set here: profiles and files of the AWS tools are ignored.
_NO_PROFILE = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


# How long S3 may be silent, in seconds, for objects up to so many bytes: over a slow line (10 KB/s) the answer for a
# large object is late, and a retry would not help.
_SILENT_SECONDS = ((200_000, 30), (1_000_000, 150), (math.inf, 600))
# What an object may unpack to, and how many lines and gzip members it may have: a batch has 16 MB (``BATCH_MAX_BYTES``)
# and 5,000 lines (``BATCH_MAX_QUOTES``) unless set otherwise, twenty symbols' daily bars since 1970 have 70 MB.
_MOST_BYTES, _MOST_LINES, _MOST_MEMBERS = 256_000_000, 5_000_000, 100
# zlib reads a gzip header and trailer, not its own
_GZIP = 31


@dataclass(frozen=True, slots=True)
class LakeObject:
    """An object in a listing; ``size`` is that of the compressed bytes."""

    key: str
    dataset: str
    landed_hour: datetime
    size: int


def check(settings: Settings) -> str:
    """Return one sentence about the lake of these settings, for the doctor; ``LakeError`` says which is wrong."""
    return Lake(settings).check()


class _Unreachable(LakeError):
    """A failure that may pass: the call is tried again."""


class _Exists(LakeError):
    """The object exists already, so there is nothing to write."""


class Lake:
    """The lake's bucket. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.bucket = str(settings.minio_bucket)
        self.endpoint = str(settings.minio_endpoint)
        self._clients: dict[float, Any] = {}

    def ensure_bucket(self) -> None:
        """Create the bucket unless it exists."""
        try:
            self._call("head_bucket", Bucket=self.bucket)
        except MissingObject:
            region = str(self._settings.minio_region)
            place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            try:
                self._call("create_bucket", Bucket=self.bucket, **place)
            except _Exists:
                log.debug("another process just created the bucket %s", self.bucket)

    def write(self, dataset: str, what: str, lines: Iterable[bytes], *, landed: datetime) -> str:
        """Write an object of lines (without their line ends) and return its key.

        The same lines in the same hour have the same key, and the same key means the same content: an existing object
        stays.
        """
        content = b"".join(line + b"\n" for line in lines)
        if not content:
            raise LakeError(f"nothing to write to {dataset}: an object has at least one line")
        digest = hashlib.sha256(content).hexdigest()[:12]
        key = format_key(KeyParts(dataset, landed, what, digest))
        packed = gzip.compress(content, compresslevel=1, mtime=0)
        try:
            self._put(key, packed)
        except MissingObject:
            self.ensure_bucket()
            self._put(key, packed)
        except _Exists:
            log.debug("%s is in the lake already", key)
        return key

    def write_history(
        self, dataset: str, records: Iterable[Mapping[str, Any]], *, first: date, last: date, fetched_at: datetime
    ) -> str:
        """Write the records of one round of fetching, one a line, and return the key."""
        what = name_history(first, last, fetched_at=fetched_at)
        return self.write(dataset, what, map(orjson.dumps, records), landed=datetime.now(UTC))

    def list(self, dataset: str, *, since: datetime | None = None) -> Iterator[LakeObject]:
        """Yield the objects of a dataset that landed in the hour of ``since`` or later, in the order of their keys.

        Older keys are not listed, so the cost follows what is new.
        """
        return self._list(f"{dataset}/landed=", after=start_of_hour(dataset, since) if since else "")

    def list_stream(self, dataset: str, stream: str, *, hour: datetime, after: str = "") -> Iterator[LakeObject]:
        """Yield the objects of one partition of a topic (``name_stream``) in an hour, from the key ``after`` on."""
        return self._list(f"{start_of_hour(dataset, hour)}{stream}+", after=after)

    def _list(self, prefix: str, *, after: str) -> Iterator[LakeObject]:
        request = {"Bucket": self.bucket, "Prefix": prefix}
        if after:
            request["StartAfter"] = after
        while True:
            page = self._call("list_objects_v2", **request)
            for entry in page.get("Contents", []):
                try:
                    parts = parse_key(entry["Key"])
                except LakeError:
                    log.warning("s3://%s/%s is not an object of this project; left out", self.bucket, entry["Key"])
                    continue
                yield LakeObject(entry["Key"], parts.dataset, parts.landed_hour, entry["Size"])
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def read(self, key: str) -> bytes:
        """Return an object's lines, uncompressed. ``CorruptObject`` or ``MissingObject`` names it where that fails."""
        packed = self._get(key, most=self._most)
        try:
            content = unpack(packed, most=self._most)
        except (ValueError, zlib.error) as error:
            raise self._corrupt(key, str(error)) from error
        if content.count(b"\n") > _MOST_LINES:
            raise self._corrupt(key, f"it has more than {_MOST_LINES:,} lines, and objects of this project never do")
        digest, found = parse_key(key).digest, hashlib.sha256(content).hexdigest()[:12]
        if found != digest:
            raise self._corrupt(key, f"its lines hash to {found}, its name says {digest}")
        return content

    def check(self) -> str:
        """Return one sentence about the lake, for the doctor; ``LakeError`` when it cannot be listed."""
        page = self._call("list_objects_v2", Bucket=self.bucket, MaxKeys=1)
        holds = "holds objects" if page.get("KeyCount") else "is empty"
        return f"{hide_secrets(self.endpoint)} answers; bucket {self.bucket} {holds}"

    def _corrupt(self, key: str, why: str) -> CorruptObject:
        return CorruptObject(
            f"s3://{self.bucket}/{key} cannot be read: {why}. Restore it, or remove it and fetch again"
        )

    def _put(self, key: str, packed: bytes) -> None:
        client = self._client(next(seconds for size, seconds in _SILENT_SECONDS if len(packed) <= size))
        request = {"Bucket": self.bucket, "Key": key, "Body": packed, "IfNoneMatch": "*"}
        self._run(f"put_object {key}", lambda: client.call_s3("put_object", **request))

    @property
    def _most(self) -> int:
        """Return the most bytes an object may have: far more than any that is written here."""
        return max(_MOST_BYTES, 2 * int(self._settings.batch_max_bytes))

    def _get(self, key: str, *, most: int | None = None) -> bytes:
        """Return an object's bytes; ``CorruptObject`` for one of more than ``most``, of which nothing is read."""
        from fsspec.asyn import sync

        return bytes(self._run(f"reading {key}", lambda: sync(self._s3.loop, self._download, key, most)))

    async def _download(self, key: str, most: int | None) -> bytes:
        answer = await self._s3._call_s3("get_object", Bucket=self.bucket, Key=key)
        try:
            if most is not None and (size := int(answer["ContentLength"])) > most:
                raise self._corrupt(key, f"it has {size:,} bytes, and objects of this project never do")
            return bytes(await answer["Body"].read())
        finally:
            answer["Body"].close()

    def _call(self, operation: str, **request: Any) -> Any:
        what = f"{operation} {request.get('Key') or request.get('Prefix') or ''}".strip()
        return self._run(what, lambda: self._s3.call_s3(operation, **request))

    @retry(
        stop=stop_after_attempt(4),
        wait=wait_random_exponential(multiplier=0.2, max=3),
        retry=retry_if_exception_type(_Unreachable),
        reraise=True,
    )
    def _run(self, what: str, request: Callable[[], Any]) -> Any:
        try:
            return request()
        except _failures() as error:
            raise self._translate(error, what) from error

    def _translate(self, error: Exception, what: str) -> LakeError:
        """Return an error of the client as one of ours: what failed, where, and which setting to check."""
        answer = getattr(error.__cause__, "response", None) or {}
        code = str(answer.get("Error", {}).get("Code", ""))
        where = f"S3 at {hide_secrets(self.endpoint)}"
        # the code differs by server: FileExistsError on AWS, EINVAL on MinIO and SeaweedFS
        if isinstance(error, FileExistsError) or code in ("PreconditionFailed", "412", "BucketAlreadyOwnedByYou"):
            return _Exists(f"{where}: {what}: it exists already")
        if isinstance(error, FileNotFoundError):
            return MissingObject(
                f"{where} has no {what.removeprefix('reading ')} in bucket {self.bucket}"
                if what.startswith("reading ")
                else f"{where} has no bucket {self.bucket} (MINIO_BUCKET); the first write makes it"
            )
        if isinstance(error, PermissionError):
            return LakeError(
                f"{where} refused {what} ({code or error}): check MINIO_ACCESS_KEY, MINIO_SECRET_KEY and MINIO_REGION, "
                f"and that they may use the bucket {self.bucket} (MINIO_BUCKET)"
            )
        if answer and answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) < 500:
            return LakeError(f"{where} refused {what}: {code} {error}")
        if answer:
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return _Unreachable(f"{where} failed {what} ({status} {code}): see the server's log; its disk may be full")
        is_embedded = self._settings.origins["MINIO_ENDPOINT"] not in ("environment", ".env")
        hint = "; the embedded stack is started by `stocks up`" if is_embedded else ""
        return _Unreachable(f"{where} does not answer ({what}: {_first_line(error)}): check MINIO_ENDPOINT{hint}")

    @property
    def _s3(self) -> Any:
        return self._client(_SILENT_SECONDS[0][1])

    def _client(self, patience: float) -> Any:
        """Return the client that waits so many seconds for an answer."""
        if patience not in self._clients:
            self._clients[patience] = self._make_client(patience)
        return self._clients[patience]

    def _make_client(self, patience: float) -> Any:
        import s3fs
        from aiobotocore.session import AioSession  # type: ignore[import-untyped]

        host = urlsplit(self.endpoint).hostname or ""
        config: dict[str, Any] = {"connect_timeout": 5, "read_timeout": patience, "retries": {"total_max_attempts": 1}}
        if host == "localhost" or host.startswith("127."):
            # a proxy for other hosts cannot reach this machine's own ports
            config["proxies"] = {}
        files = s3fs.S3FileSystem(
            session=AioSession(session_vars=_NO_PROFILE),
            key=self._settings.require("MINIO_ACCESS_KEY"),
            secret=self._settings.require("MINIO_SECRET_KEY").reveal(),
            endpoint_url=self.endpoint,
            client_kwargs={"region_name": self._settings.minio_region},
            config_kwargs=config,
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        files.retries = 1
        return files


def unpack(packed: bytes, *, most: int) -> bytes:
    """Return the unpacked bytes of gzip data, at most ``most``; ``ValueError`` or ``zlib.error`` says what is wrong.

    It never holds more than that, however much a small object would unpack to.

    >>> unpack(gzip.compress(b"quotes"), most=6)
    b'quotes'
    >>> unpack(gzip.compress(bytes(10**6)), most=1000)
    Traceback (most recent call last):
        ...
    ValueError: it unpacks to more than 1,000 bytes, and objects of this project never do
    """
    if not packed:
        raise ValueError("it is empty")
    parts: list[bytes] = []
    left, rest = most, packed
    while rest:
        member = zlib.decompressobj(wbits=_GZIP)
        parts.append(member.decompress(rest, left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise ValueError(f"it unpacks to more than {most:,} bytes, and objects of this project never do")
        if not member.eof:
            raise ValueError("it is cut off")
        # zeros at the end are padding
        rest = member.unused_data.lstrip(b"\0")
        if len(parts) > _MOST_MEMBERS:
            raise ValueError(f"it is packed in more than {_MOST_MEMBERS} pieces, and objects of this project never are")
    return b"".join(parts)


def _failures() -> tuple[type[Exception], ...]:
    """Return what the client raises; called only after an error, since the import is slow."""
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    return (OSError, TimeoutError, BotoCoreError, ClientError)


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0][:200]
