"""argv: URL of the server, number of lines."""
import logging
import sys

import logging_loki

url, count = sys.argv[1], int(sys.argv[2])
handler = logging_loki.LokiHandler(url=url + "/loki/api/v1/push", version="1",
                                   tags={"application": "python-logging-loki"})
log = logging.getLogger("client")
log.setLevel(logging.INFO)
log.addHandler(handler)
for i in range(count):
    log.info('line %d "quoted" ü', i, extra={"tags": {"kind": "check"}})
