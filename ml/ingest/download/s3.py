"""Files in S3, or in a compatible store (AWS_ENDPOINT_URL)."""

import contextlib
from collections.abc import Iterator
from typing import Any

from ml.ingest.download import remote
from ml.ingest.download.remote import BY_HAND, Answer, Remote, Trouble, length, mark_of, require, safe_name

CHUNK_BYTES = 1 << 14  # what a stall loses: bodies arrive in whole chunks
KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; a public file is also at https://BUCKET.s3.amazonaws.com/KEY"


def find(source: str) -> list[Remote]:
    """The object of a key, or all below a prefix that ends in a slash, sorted by key.

    Raises:
        Trouble: where there is none, no answer, or no credentials.
    """
    bucket, key = _bucket_key(source)
    with _client() as client:
        if key and not key.endswith("/"):
            headers = client.head_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPHeaders"]
            return [Remote(source, _name(key), length(headers), mark_of(headers))]
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        found = [one for page in pages for one in page.get("Contents", []) if not one["Key"].endswith("/")]
    if not found:
        raise Trouble("no file is there", "check the bucket and the prefix", is_final=True)
    return [Remote(f"s3://{bucket}/{one['Key']}", _name(one["Key"]), one["Size"], one["ETag"]) for one in sorted(found, key=_key)]


@contextlib.contextmanager
def request(url: str, position: int, mark: str) -> Iterator[Answer]:
    """The object, from `position` on only if it is still the version `mark`."""
    bucket, key = _bucket_key(url)
    rest = {"Range": f"bytes={position}-", "IfMatch": mark} if position else {}
    with _client() as client:
        answer = client.get_object(Bucket=bucket, Key=key, **rest)
        meta = answer["ResponseMetadata"]
        with contextlib.closing(answer["Body"]) as body:
            yield Answer(int(meta["HTTPStatusCode"]), meta["HTTPHeaders"], body.iter_chunks(CHUNK_BYTES))


def _bucket_key(url: str) -> tuple[str, str]:
    bucket, _, key = url[len("s3://") :].partition("/")
    if not bucket:
        raise Trouble("it names no bucket", "write s3://BUCKET/KEY, or s3://BUCKET/PREFIX/ for all below it", is_final=True)
    return bucket, key


def _key(listed: Any) -> str:
    return str(listed["Key"])


def _name(key: str) -> str:
    return safe_name(key.rpartition("/")[2])


@contextlib.contextmanager
def _client() -> Iterator[Any]:
    """A client from the ordinary AWS environment, whose failures, wherever in the block, are troubles."""
    import boto3
    from botocore import exceptions as failed
    from botocore.config import Config

    once = Config(connect_timeout=remote.CONNECT_SECONDS, read_timeout=remote.READ_SECONDS, retries={"total_max_attempts": 1})
    try:
        yield boto3.session.Session().client("s3", config=once)  # the default session would keep keys that have been replaced
    except failed.ClientError as error:
        code, meta = str(error.response["Error"]["Code"]), error.response["ResponseMetadata"]
        require(int(meta["HTTPStatusCode"]), "" if code.isdigit() else code)
        raise Trouble(code) from error  # an error in the body of a good answer
    except failed.FlexibleChecksumError as error:
        raise Trouble("the bytes do not match the checksum that the store keeps", BY_HAND, begins_again=True) from error
    except (failed.ConnectTimeoutError, failed.ReadTimeoutError) as error:
        raise remote.silence(isinstance(error, failed.ConnectTimeoutError)) from error
    except (failed.IncompleteReadError, failed.ResponseStreamingError) as error:
        raise Trouble("") from error
    except (failed.ConnectionError, failed.HTTPClientError) as error:
        raise remote.unreached(error) from error
    except failed.BotoCoreError as error:
        if isinstance(error, (failed.NoCredentialsError, failed.PartialCredentialsError)):
            raise Trouble("there are no AWS credentials", KEYS, is_final=True) from error
        what = " ".join(str(error).split())  # some take several lines
        raise Trouble(what, "check the bucket, the key and the AWS settings", is_final=True) from error
