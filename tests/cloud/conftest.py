"""A real S3 server on a free port, and the program as a user starts it."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUCKET = "bucket"
MISSING = [name for name in ("tensorflow_io", "moto") if not importlib.util.find_spec(name)]


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("cloud")
            if MISSING:
                reason = f"needs {' and '.join(MISSING)}, which make test-cloud installs"
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_unconfigure(config):
    """TensorFlow's file systems abort the process at its end, whatever came of the tests."""
    if "tensorflow_io" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.cloud_status)


def pytest_sessionfinish(session, exitstatus):
    session.config.cloud_status = int(exitstatus)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The address of moto's server, which has one bucket."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with path.open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        while not answers(port):
            assert process.poll() is None, path.read_text()
            time.sleep(0.05)
        address = f"http://127.0.0.1:{port}"
        os.environ |= {
            "S3_ENDPOINT": address,
            "S3_USE_HTTPS": "0",
            "S3_VERIFY_SSL": "0",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
        yield address
        process.terminate()


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def bucket(server):
    """The bucket, emptied, by another client than the program's."""
    import boto3

    found = boto3.resource("s3", endpoint_url=server).Bucket(BUCKET)
    found.objects.delete()
    return found


@pytest.fixture
def remote(bucket):
    import storage

    return storage.path(f"s3://{BUCKET}/folder")
