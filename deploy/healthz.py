"""`healthz HOST PORT`: the health check of the daemons' image, which has no other HTTP client.

Ends with 0 if /healthz says that all is well; else prints what it says, and ends with 1.
"""

import http.client
import sys

TIMEOUT_S = 5.0


def main(host: str, port: str) -> int:
    connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        print(response.read().decode(), end="")
    except OSError as error:
        print(f"{host}:{port} does not answer: {error}")
        return 1
    return 0 if response.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
