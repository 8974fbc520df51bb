// argv: URL of the server, number of lines, json or protobuf.
const winston = require('winston');
const LokiTransport = require('winston-loki');

const [url, count, form] = process.argv.slice(2);
const transport = new LokiTransport({
  host: url,
  json: form === 'json',
  labels: { application: 'winston-' + form },
  batching: true,
  interval: 1,
  onConnectionError: (error) => { console.error(error); process.exit(1); },
});
const log = winston.createLogger({ transports: [transport], format: winston.format.json() });
for (let i = 0; i < Number(count); i++) log.info(`line ${i} "quoted" ü`, { index: i });
transport.flush().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
