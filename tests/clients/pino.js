// argv: URL of the server, number of lines.
const pino = require('pino');

const [url, count] = process.argv.slice(2);
const transport = pino.transport({
  target: 'pino-loki',
  options: { host: url, batching: { interval: 1 }, labels: { application: 'pino' } },
});
const log = pino(transport);
for (let i = 0; i < Number(count); i++) log.info({ index: i }, `line ${i} "quoted" ü`);
log.error(new Error('boom'));
log.flush(() => transport.end());
transport.on('close', () => process.exit(0));
