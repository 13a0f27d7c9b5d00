// The subject of `testing.checks.runtime` for a custom runtime: a server of Node.js.
const http = require('http')
const { setTimeout: sleep } = require('timers/promises')

let state = 'new'
let waiting

const DO = {
  fail: (told, request, response) => { response.statusCode = 404; response.end('{"errorMessage":"on purpose","errorType":"Wish"}') },
  print: (told, request, response) => { console.log(told.text); response.end('printed') },
  env: (told, request, response) => response.end(process.env[told.name] ?? ''),
  context: (told, { headers }, response) => response.end(JSON.stringify({
    requestId: headers['x-fc-request-id'],
    function: headers['x-fc-function-name'],
    region: headers['x-fc-region'],
    retryCount: Number(headers['x-fc-retry-count'] ?? 0)
  })),
  state: (told, request, response) => response.end(state),
  exit: told => process.exit(told.code),
  hang: () => {},
  meet: (told, request, response) => {
    if (waiting === undefined) {
      waiting = response
    } else {
      waiting.end('met')
      waiting = undefined
      response.end('met')
    }
  },
  stream: async (told, request, response) => {
    for (const piece of ['one', 'two', 'three']) {
      response.write(piece)
      await sleep(50)
    }
    response.end()
  }
}

http.createServer((request, response) => {
  const pieces = []
  request.on('data', piece => pieces.push(piece))
  request.on('end', () => {
    const event = Buffer.concat(pieces)
    if (request.url === '/pre-stop') {
      console.log('pre-stop ran')
      response.end()
    } else if (request.url === '/initialize') {
      if (process.env.INIT_FAILS) response.writeHead(500)
      else state = 'initialized'
      response.end('not today')
    } else if (event[0] === 0x7b) {
      const told = JSON.parse(event)
      DO[told.do](told, request, response)
    } else {
      response.end(event)
    }
  })
}).listen(Number(process.env.PORT), '0.0.0.0')
