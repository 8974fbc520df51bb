"""argv: URL of the server, number of lines, compression (none or gzip)."""
import sys
import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

url, count, compression = sys.argv[1], int(sys.argv[2]), sys.argv[3]
exporter = OTLPLogExporter(
    endpoint=url + "/otlp/v1/logs",
    compression=Compression.Gzip if compression == "gzip" else Compression.NoCompression)
provider = LoggerProvider(resource=Resource.create(
    {"service.name": "otel-" + compression, "host.arch": "amd64"}))
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
logger = provider.get_logger("check", "1.2")
for i in range(count):
    logger.emit(LogRecord(timestamp=time.time_ns(), severity_number=SeverityNumber.WARN,
                          severity_text="WARN", body=f'line {i} "quoted" ü',
                          attributes={"http.status": 200, "nested": {"a": "b"}}))
sys.exit(0 if provider.force_flush(30000) else 1)
