"""Files in S3, or in a store that speaks as it does (AWS_ENDPOINT_URL)."""

import contextlib
from collections.abc import Iterator
from typing import Any

@contextlib.contextmanager
def _s3() -> Iterator[Any]:
    """An S3 client from the ordinary AWS environment, whose failures are troubles."""
    import boto3
    from botocore import exceptions as failed
    from botocore.config import Config

    once = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": 1})
    keys = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; a public file is also at https://BUCKET.s3.amazonaws.com/KEY"
    try:
        yield boto3.client("s3", config=once)
    except failed.ClientError as error:
        code, meta = str(error.response["Error"]["Code"]), error.response["ResponseMetadata"]
        _require(int(meta["HTTPStatusCode"]), "" if code.isdigit() else code)
        raise Trouble(code) from error  # an error in the body of a 200
    except failed.FlexibleChecksumError as error:
        raise Trouble("the bytes are not those of the checksum that the store keeps", BY_HAND, begins_again=True) from error
    except (failed.ConnectTimeoutError, failed.ReadTimeoutError) as error:
        raise _silence(isinstance(error, failed.ConnectTimeoutError)) from error
    except (failed.IncompleteReadError, failed.ResponseStreamingError) as error:
        raise Trouble("") from error
    except (failed.ConnectionError, failed.HTTPClientError) as error:
        raise _unreached(error) from error
    except failed.BotoCoreError as error:
        is_missing = isinstance(error, (failed.NoCredentialsError, failed.PartialCredentialsError))
        raise Trouble("there are no AWS credentials" if is_missing else str(error), keys, is_final=True) from error


def _find_s3(source: str) -> list[Remote]:
    bucket, key = _bucket_key(source)
    with _s3() as client:
        if key and not key.endswith("/"):
            head = client.head_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPHeaders"]
            return [Remote(source, _safe(key.rpartition("/")[2]), _length(head), _mark(head))]
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        found = [one for page in pages for one in page.get("Contents", []) if not one["Key"].endswith("/")]
    if not found:
        raise Trouble("no file is there", "check the bucket and the prefix", is_final=True)
    return [
        Remote(f"s3://{bucket}/{one['Key']}", _safe(one["Key"].rpartition("/")[2]), one["Size"], one["ETag"])
        for one in sorted(found, key=lambda one: one["Key"])
    ]


@contextlib.contextmanager
def _request_s3(url: str, position: int, mark: str) -> Iterator[Answer]:
    bucket, key = _bucket_key(url)
    rest = {"Range": f"bytes={position}-", "IfMatch": mark} if position else {}
    with _s3() as client:
        answer = client.get_object(Bucket=bucket, Key=key, **rest)
        meta = answer["ResponseMetadata"]
        with contextlib.closing(answer["Body"]) as body:
            yield Answer(int(meta["HTTPStatusCode"]), meta["HTTPHeaders"], body.iter_chunks(S3_CHUNK_BYTES))


def _bucket_key(url: str) -> tuple[str, str]:
    bucket, _, key = url[len("s3://") :].partition("/")
    if not bucket:
        raise Trouble("it names no bucket", "write s3://BUCKET/KEY, or s3://BUCKET/PREFIX/ for all below it", is_final=True)
    return bucket, key
