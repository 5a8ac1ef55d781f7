"""The artifacts' bucket: executed notebooks, reports, and what a scheduled run decided. Never bronze.

Bytes and a key in, an ``s3://`` address out. A key may be written again, since a later attempt replaces an earlier one.
"""

import mimetypes

from stocklib.errors import MissingObject
from stocklib.lake.objects import Lake
from stocklib.settings import Settings


class Artifacts(Lake):
    """The bucket ``MINIO_ARTIFACTS_BUCKET``, reached as the lake's is."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.bucket = str(settings.minio_artifacts_bucket)

    def keep(self, key: str, content: bytes) -> str:
        """Write an object, create the bucket where it is missing, and return the object's address."""
        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
        request = {"Bucket": self.bucket, "Key": key, "Body": content, "ContentType": kind}
        try:
            self._call("put_object", **request)
        except MissingObject:
            self.ensure_bucket()
            self._call("put_object", **request)
        return self.address(key)

    def find(self, key: str) -> bytes | None:
        """Return an object's bytes; None where there is none."""
        try:
            return self._get(key)
        except MissingObject:
            return None

    def keys(self, prefix: str) -> list[str]:
        """Return the keys with this prefix, at most a thousand."""
        page = self._call("list_objects_v2", Bucket=self.bucket, Prefix=prefix)
        return [str(entry["Key"]) for entry in page.get("Contents", [])]

    def address(self, key: str) -> str:
        """Return an object's ``s3://`` address, which names no server and holds no credential."""
        return f"s3://{self.bucket}/{key}"
