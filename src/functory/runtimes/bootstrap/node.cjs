'use strict'
// The Node.js runtime: what an instance does from its start to its end.
//
// Started by `execute.py`: the spec as JSON on descriptor 5, requests on 3, replies on 4, the log on 1 and 2. Or ahead of
// need: then descriptor 5 is a socket that says later what this process shall be (`sandbox/ahead.py`).
// Speaks the frames of `runtimes/wire.py`, whose numbers are repeated here; a test compares them. Node's own modules
// only, and as few as it can: each costs every start.
//
// Replies are written without waiting: what is printed before a crash or `process.exit` is out, and order is kept.

const fs = require('fs')
const net = require('net')
const path = require('path')
const { createRequire } = require('module')

const PROTOCOL = 1
const HEADER_BYTES = 16
const INLINE_BYTES = 65536
const PIECE_BYTES = 65536
const [HELLO, REQ, RESP, BODY, ERROR, CANCEL, LOG, DRAIN, NOTE, CREDENTIALS] = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14]
const [CREDIT] = [7]
const [END, META, RAW_LOG, TWO_WAY] = [1, 4, 16, 32]
const [E_HANDLER, E_UNHANDLED, E_INIT, E_TOO_LARGE, E_HANDLED] = [1, 2, 3, 5, 6]
const [REQUEST_FD, REPLY_FD, SPEC_FD] = [3, 4, 5]

const REPLY_BYTES = 32 << 20 // the longest answer that is not streamed
const LOG_BYTES = 1 << 20 // what one request may print; the rest is counted
const NOTE_BYTES = 4096 // what `context.progress` may say
const LOG_PIECE_BYTES = 32768
const LINE_BYTES = 8192 // a line longer than this is sent in parts
const ERROR_BYTES = 256 << 10
const MESSAGE_CHARS = 32 << 10
const TRACE_LINES = 64
const UNMADE = 70
const SUFFIXES = ['.js', '.cjs', '.mjs']

// --- frames ----------------------------------------------------------------------------------------------------------

function header (length, stream, meta, kind, flags, aux) {
  const head = Buffer.allocUnsafe(HEADER_BYTES)
  head.writeUInt32LE(length, 0)
  head.writeUInt32LE(stream, 4)
  head.writeUInt16LE(meta, 8)
  head[10] = kind
  head[11] = flags
  head.writeUInt32LE(aux >>> 0, 12)
  return head
}

function frame (stream, kind, flags, aux, meta, payload) {
  return Buffer.concat([header(meta.length + payload.length, stream, meta.length, kind, flags, aux), meta, payload])
}

function write (data) {
  try {
    for (let at = 0; at < data.length;) at += fs.writeSync(REPLY_FD, data, at, data.length - at)
  } catch (failure) {
    if (failure.code !== 'EAGAIN') process.reallyExit(0) // the node has let go
    throw failure
  }
}

const NOTHING = Buffer.alloc(0)

// A whole answer: one frame, or a RESP with the length and BODY pieces. RAW_LOG always: nobody here can ask the kernel
// whether a child process has written to the log.
function answer (stream, us, body) {
  if (body.length <= INLINE_BYTES) {
    write(Buffer.concat([header(body.length, stream, 0, RESP, END | RAW_LOG, us), body]))
    return
  }
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(body.length))
  write(frame(stream, RESP, RAW_LOG, us, size, body.subarray(0, PIECE_BYTES)))
  for (let at = PIECE_BYTES; at < body.length; at += PIECE_BYTES) {
    const piece = body.subarray(at, at + PIECE_BYTES)
    write(frame(stream, BODY, at + PIECE_BYTES >= body.length ? END : 0, 0, NOTHING, piece))
  }
}

// Cuts what is read into whole requests.
class Inbox {
  constructor (take) {
    this.take = take
    this.rest = NOTHING
    this.open = new Map()
  }

  feed (data) {
    if (this.rest.length) data = Buffer.concat([this.rest, data])
    let at = 0
    while (data.length - at >= HEADER_BYTES) {
      const stop = at + HEADER_BYTES + data.readUInt32LE(at)
      if (stop > data.length) break
      const body = at + HEADER_BYTES + data.readUInt16LE(at + 8)
      const stream = data.readUInt32LE(at + 4)
      this.one(data[at + 10], data[at + 11], stream, data.readUInt32LE(at + 12),
        data.subarray(at + HEADER_BYTES, body), data.subarray(body, stop))
      at = stop
    }
    this.rest = data.subarray(at)
  }

  one (kind, flags, stream, aux, meta, payload) {
    if (kind === BODY) {
      const parts = this.open.get(stream)
      if (parts === undefined) return
      parts.payload.push(payload)
      if (flags & END) {
        this.open.delete(stream)
        this.take(REQ, stream, parts.flags, parts.aux, parts.meta, Buffer.concat(parts.payload))
      }
    } else if (kind === REQ && !(flags & END)) {
      this.open.set(stream, { flags, aux, meta, payload: [payload] })
    } else {
      this.take(kind, stream, flags, aux, meta, payload)
    }
  }
}

// --- what is printed -------------------------------------------------------------------------------------------------

// What one request has printed so far.
class Printed {
  constructor (stream, id) {
    this.stream = stream
    this.id = id
    this.used = 0
    this.dropped = 0
    this.partial = NOTHING
  }

  add (text) {
    this.used += text.length
    if (this.used > LOG_BYTES) {
      const room = Math.max(0, LOG_BYTES - (this.used - text.length))
      this.dropped += text.length - room
      text = text.subarray(0, room)
    }
    if (this.partial.length) text = Buffer.concat([this.partial, text])
    let cut = text.lastIndexOf(10) + 1
    if (text.length - cut > LINE_BYTES) cut = text.length
    this.partial = text.subarray(cut)
    if (cut) this.send(text.subarray(0, cut))
  }

  finish () {
    if (this.dropped) {
      const told = `\n[... ${this.dropped} bytes of output dropped: one request may print ${LOG_BYTES} bytes ...]\n`
      this.partial = Buffer.concat([this.partial, Buffer.from(told)])
    }
    if (this.partial.length) this.send(this.partial)
    this.used = this.dropped = 0
    this.partial = NOTHING
  }

  // How far the request is: anything that is JSON; the last word counts.
  note (value) {
    const text = Buffer.from(JSON.stringify(value) ?? '')
    if (!text.length || text.length > NOTE_BYTES) {
      throw new RangeError(`progress of ${text.length} bytes of JSON: 1 to ${NOTE_BYTES} are allowed`)
    }
    if (this.stream) write(frame(this.stream, NOTE, 0, 0, NOTHING, text))
  }

  send (text) {
    for (let at = 0; at < text.length; at += LOG_PIECE_BYTES) {
      write(frame(this.stream, LOG, 0, 0, NOTHING, text.subarray(at, at + LOG_PIECE_BYTES)))
    }
  }
}

const outside = new Printed(0, '-')
let current = () => outside

function installOutput () {
  // Made when first used: `stream` costs 2 ms.
  for (const [name, fd] of [['stdout', 1], ['stderr', 2]]) {
    let made
    Object.defineProperty(process, name, {
      configurable: true,
      enumerable: true,
      get () {
        if (made === undefined) {
          const { Writable } = require('stream')
          made = new Writable({
            decodeStrings: true,
            write (text, encoding, done) {
              current().add(text)
              done()
            }
          })
          made.fd = fd
          made.isTTY = false
          made._type = 'pipe'
          made.destroySoon = made.destroy = () => made
        }
        return made
      }
    })
  }
}

// --- errors ----------------------------------------------------------------------------------------------------------

// The function did something that the contract does not allow; told under a name of its own.
class Refused extends Error {
  constructor (kind, message, code = E_UNHANDLED) {
    super(message)
    this.kind = kind
    this.code = code
  }
}

function text (make) {
  try {
    const made = String(make())
    return made.length > MESSAGE_CHARS
      ? `${made.slice(0, MESSAGE_CHARS)} … (cut: ${made.length} characters in all)`
      : made
  } catch {
    return '<the error\'s own text could not be made>'
  }
}

// `[error code, JSON]` of what a function threw.
function describe (failure, code = E_UNHANDLED) {
  if (failure instanceof Refused) {
    return [failure.code, encode(failure.message, failure.kind, [])]
  }
  const isError = failure !== null && typeof failure === 'object' && ('message' in failure || 'stack' in failure)
  const message = text(() => isError ? failure.message : (typeof failure === 'object' ? JSON.stringify(failure) : failure))
  const kind = text(() => isError ? (failure.name || 'Error') : typeof failure === 'object' ? 'object' : typeof failure)
  const stack = isError && failure.stack ? text(() => failure.stack) : ''
  return [code, encode(message, kind, trace(stack, failure))]
}

function trace (stack, failure) {
  const lines = stack.split('\n')
  const first = lines.findIndex(line => /^\s+at /.test(line))
  const [told, called] = first < 0 ? [lines, []] : [lines.slice(0, first), lines.slice(first)]
  // The message stands first in a stack, and is told already; a syntax error has its place and line before it.
  const syntax = failure instanceof SyntaxError ? told.filter(Boolean) : []
  const calls = called.filter(line => !line.includes(__filename) && !line.includes('node:internal/'))
    .map(line => line.trim())
  const all = syntax.concat(calls)
  if (all.length <= TRACE_LINES) return all
  const half = TRACE_LINES / 2
  return [...all.slice(0, half), `… ${all.length - TRACE_LINES} more lines …`, ...all.slice(-half)]
}

function encode (message, kind, stackTrace) {
  let data
  do {
    data = Buffer.from(JSON.stringify({ errorMessage: message, errorType: kind.slice(0, 400), stackTrace }))
    stackTrace.splice(stackTrace.length >> 1, 1)
  } while (data.length > ERROR_BYTES && stackTrace.length)
  return data
}

// --- the context -----------------------------------------------------------------------------------------------------

const LEVELS = { silly: 0, debug: 1, verbose: 2, info: 3, warn: 4, error: 5 }

// `context.logger`: `2026-11-23T10:00:00.123Z <request id> [info] text`.
class Logger {
  constructor (printed) {
    this.printed = printed
    this.level = LEVELS.silly
  }

  setLogLevel (level) {
    this.level = LEVELS[level] ?? LEVELS.silly
  }

  say (level, given) {
    if (LEVELS[level] < this.level) return
    const line = `${new Date().toISOString()} ${this.printed.id} [${level}] ${require('util').format(...given)}\n`
    this.printed.add(Buffer.from(line))
  }
}
for (const level of Object.keys(LEVELS)) {
  Logger.prototype[level] = function (...given) { this.say(level, given) }
}
Logger.prototype.log = Logger.prototype.info

function constants (spec) {
  const env = process.env
  const facts = spec.context
  const get = (name, variable, otherwise = '') => facts[name] || env[variable] || otherwise
  const initializer = spec.initializer
  return {
    credentials: {
      accessKeyId: get('accessKeyId', 'ALIBABA_CLOUD_ACCESS_KEY_ID'),
      accessKeySecret: get('accessKeySecret', 'ALIBABA_CLOUD_ACCESS_KEY_SECRET'),
      securityToken: get('securityToken', 'ALIBABA_CLOUD_SECURITY_TOKEN')
    },
    function: {
      name: get('functionName', 'FC_FUNCTION_NAME'),
      handler: get('handler', 'FC_FUNCTION_HANDLER', spec.handler),
      memory: Number(get('memory', 'FC_FUNCTION_MEMORY_SIZE', spec.memory_mb)),
      timeout: Number(get('timeout', 'FC_TIMEOUT', 0)),
      ...(initializer ? { initializer, initializationTimeout: spec.initializer_timeout_s } : {})
    },
    service: {
      name: get('serviceName', 'FC_SERVICE_NAME'),
      logProject: get('logProject', ''),
      logStore: get('logStore', ''),
      qualifier: get('qualifier', 'FC_QUALIFIER', 'LATEST'),
      versionId: get('versionId', '')
    },
    region: get('region', 'FC_REGION'),
    accountId: get('accountId', 'FC_ACCOUNT_ID')
  }
}

function tracing (spanContext = '') {
  return {
    openTracingSpanContext: spanContext,
    openTracingSpanBaggages: {},
    jaegerEndpoint: '',
    parseOpenTracingBaggages: () => ({})
  }
}

// --- the code --------------------------------------------------------------------------------------------------------

function setPaths (spec) {
  const found = spec.layer_dirs.map(layer => path.join(layer, 'nodejs', 'node_modules')).filter(fs.existsSync)
  if (!found.length) return
  process.env.NODE_PATH = [...found, process.env.NODE_PATH].filter(Boolean).join(path.delimiter)
  require('module').Module._initPaths()
}

// The function `module.name`; the module may lie in folders: `src/index.handler`.
async function find (spec, name, what) {
  const dot = name.lastIndexOf('.')
  const [module, attribute] = [name.slice(0, dot), name.slice(dot + 1)]
  if (dot <= 0 || !attribute) {
    throw new Refused('HandlerNotFound', `${what} '${name}' is not of the form 'file.function'`, E_HANDLER)
  }
  const base = path.join(spec.code_dir, module)
  const file = [...SUFFIXES.map(suffix => base + suffix), ...SUFFIXES.map(suffix => path.join(base, 'index' + suffix))]
    .find(fs.existsSync)
  if (file === undefined) {
    const message = `module '${module}' of ${what} '${name}' is not in the code: there is no ${module}.js, .cjs or .mjs`
    throw new Refused('ImportModuleError', message, E_HANDLER)
  }
  const exported = await load(file)
  const found = exported[attribute] ?? exported.default?.[attribute]
  if (typeof found !== 'function') {
    const why = found === undefined ? 'is missing' : 'is not a function'
    throw new Refused('HandlerNotFound', `${what} '${attribute}' ${why} in ${path.basename(file)}`, E_HANDLER)
  }
  return found
}

async function load (file) {
  if (!file.endsWith('.mjs')) {
    try {
      return createRequire(file)(file) ?? {}
    } catch (failure) {
      // A package.json may say that .js files are ES modules.
      if (failure?.code !== 'ERR_REQUIRE_ESM' && failure?.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw failure
    }
  }
  return import(require('url').pathToFileURL(file).href)
}

// --- serving ---------------------------------------------------------------------------------------------------------

const asBytes = value =>
  Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)

function body (result) {
  let data
  if (typeof result === 'string') data = Buffer.from(result)
  else if (result === undefined) data = NOTHING
  else if (ArrayBuffer.isView(result)) data = asBytes(result)
  else if (result instanceof ArrayBuffer) data = Buffer.from(result)
  else data = asJson(result)
  if (data.length > REPLY_BYTES) {
    const message = `the answer has ${data.length} bytes, the limit is ${REPLY_BYTES}: return an async iterable to stream it`
    throw new Refused('ResponseTooLarge', message, E_TOO_LARGE)
  }
  return data
}

function asJson (result) {
  let made
  try {
    made = JSON.stringify(result)
  } catch (failure) {
    throw new Refused('InvalidReturnType', `the answer cannot be written as JSON: ${failure.message}`)
  }
  if (made === undefined) {
    throw new Refused('InvalidReturnType', `the answer is a ${typeof result}, which cannot be written as JSON`)
  }
  return Buffer.from(made)
}

const isStream = result => result !== null && typeof result === 'object' &&
  (typeof result[Symbol.asyncIterator] === 'function' || isGenerator(result))

const isGenerator = result => typeof result[Symbol.iterator] === 'function' && typeof result.next === 'function'

const VARIABLES = {
  accessKeyId: 'ALIBABA_CLOUD_ACCESS_KEY_ID',
  accessKeySecret: 'ALIBABA_CLOUD_ACCESS_KEY_SECRET',
  securityToken: 'ALIBABA_CLOUD_SECURITY_TOKEN'
}

class Instance {
  constructor (spec, handler, preStop) {
    this.handler = handler
    this.preStop = preStop
    this.constants = constants(spec)
    this.open = new Map()
    this.shared = spec.concurrency > 1
    this.alone = outside
    this.storage = undefined
    if (this.shared) {
      const { AsyncLocalStorage } = require('async_hooks')
      this.storage = new AsyncLocalStorage()
      current = () => this.storage.getStore() ?? outside
    } else {
      current = () => this.alone
    }
  }

  context (id, facts, printed) {
    return {
      requestId: id,
      ...this.constants,
      tracing: tracing(facts.traceParent),
      retryCount: Math.max(0, (facts.attempt ?? 1) - 1),
      logger: new Logger(printed),
      progress: value => printed.note(value)
    }
  }

  take (kind, stream, flags, aux, meta, payload) {
    if (kind === REQ) this.begin(stream, flags, meta, payload)
    else if (kind === DRAIN) this.drain()
    else if (kind === CREDENTIALS) this.renew(JSON.parse(payload.utf8Slice()))
    else if (kind === CANCEL) this.open.get(stream)?.cancel?.()
  }

  // Other credentials count from now on: for contexts that are made, and for what reads the environment.
  renew (told) {
    if (this.constants.credentials.accessKeyId) this.constants = { ...this.constants, credentials: told }
    for (const [name, variable] of Object.entries(VARIABLES)) {
      if (process.env[variable] !== undefined) process.env[variable] = told[name]
    }
  }

  begin (stream, flags, meta, event) {
    let [id, facts] = [meta.latin1Slice(), {}]
    if (flags & META) {
      const cut = meta.indexOf(0)
      id = meta.latin1Slice(0, cut)
      facts = JSON.parse(meta.utf8Slice(cut + 1))
    }
    const printed = new Printed(stream, id)
    const request = { stream, printed, began: process.hrtime(), cancel: undefined }
    this.open.set(stream, request)
    const context = this.context(id, facts, printed)
    if (this.shared) {
      this.storage.run(printed, () => this.run(request, event, context))
    } else {
      this.alone = printed
      this.run(request, event, context)
    }
  }

  run (request, event, context) {
    const done = (failure, result) => failure !== null && failure !== undefined
      ? this.failed(request, failure, E_HANDLED)
      : this.finished(request, result)
    let result
    try {
      result = this.handler(event, context, done)
    } catch (failure) {
      this.failed(request, failure)
      return
    }
    if (typeof result?.then === 'function') {
      result.then(value => this.finished(request, value), failure => this.failed(request, failure))
    } else if (result !== undefined || this.handler.length < 3) {
      // A handler that takes no callback has nothing but its result to answer with.
      this.finished(request, result)
    }
  }

  finished (request, result) {
    if (!this.open.has(request.stream)) return // the second answer of one request
    try {
      if (isStream(result)) {
        this.stream(request, result)
        return
      }
      const data = body(result)
      this.close(request)
      const [s, ns] = process.hrtime(request.began)
      answer(request.stream, s * 1e6 + Math.floor(ns / 1000), data)
    } catch (failure) {
      this.failed(request, failure)
    }
  }

  async stream (request, pieces) {
    let begun = false
    let gone = false
    request.cancel = () => { gone = true }
    try {
      for await (const value of pieces) {
        if (typeof value !== 'string' && !ArrayBuffer.isView(value)) {
          throw new Refused('InvalidReturnType', `the stream gave a ${typeof value}; only buffers and strings flow`)
        }
        const data = typeof value === 'string' ? Buffer.from(value) : asBytes(value)
        for (let at = 0; at < data.length; at += PIECE_BYTES) {
          write(frame(request.stream, begun ? BODY : RESP, 0, 0, NOTHING, data.subarray(at, at + PIECE_BYTES)))
          begun = true
        }
        if (gone) break
      }
    } catch (failure) {
      this.failed(request, failure)
      return
    }
    this.close(request)
    write(frame(request.stream, begun ? BODY : RESP, begun ? END : END | RAW_LOG, 0, NOTHING, NOTHING))
  }

  failed (request, failure, code = E_UNHANDLED) {
    if (!this.open.has(request.stream)) return
    this.close(request)
    const [number, told] = describe(failure, code)
    write(frame(request.stream, ERROR, END | RAW_LOG, number, NOTHING, told))
  }

  close (request) {
    this.open.delete(request.stream)
    request.printed.finish()
    if (this.alone === request.printed) this.alone = outside
    if (this.draining && !this.open.size) this.leave()
  }

  // --- the end ---

  drain () {
    this.draining = true
    if (!this.open.size) this.leave()
  }

  leave () {
    const last = this.preStop === undefined
      ? Promise.resolve()
      : hook(this.preStop, this.context('', {}, outside)).catch(failure => {
        outside.add(Buffer.concat([Buffer.from('the pre-stop hook failed: '), describe(failure)[1], Buffer.from('\n')]))
      })
    last.then(() => process.exit(0))
  }

  // What nobody caught leaves the process in a state that nobody knows: its requests hear of it, and it ends.
  broken (failure) {
    const printed = this.storage?.getStore()
    const requests = [...this.open.values()]
    const mine = requests.filter(request => printed === undefined || request.printed === printed)
    for (const request of mine) this.failed(request, failure)
    if (!mine.length) outside.add(Buffer.concat([describe(failure)[1], Buffer.from('\n')]))
    process.exit(1)
  }

  // `process.exit` in a function: whoever still waits finds in his log who ended it.
  left (code) {
    for (const request of this.open.values()) {
      request.printed.add(Buffer.from(`the function ended its process: process.exit(${code})\n`))
      request.printed.finish()
    }
    outside.finish()
  }
}

// Calls a hook `(context, callback)` or `async (context)`; resolves when it is done.
function hook (call, context) {
  return new Promise((resolve, reject) => {
    const result = call(context, (failure, value) => {
      if (failure !== null && failure !== undefined) reject(failure)
      else resolve(value)
    })
    if (typeof result?.then === 'function') result.then(resolve, reject)
    else if (result !== undefined || call.length < 2) resolve(result)
  })
}

const us = from => Number((process.hrtime.bigint() - from) / 1000n)

// --- the start -------------------------------------------------------------------------------------------------------

function readSpec () {
  const spec = JSON.parse(fs.readFileSync(SPEC_FD, 'utf8'))
  fs.closeSync(SPEC_FD)
  return spec
}

// Waits until this process is an instance's; `undefined` if nobody needs it any more.
function awaitSpec () {
  const head = readWhole(4)
  const text = head && readWhole(head.readUInt32LE())
  if (!text) return undefined
  const spec = takeOver(text)
  fs.closeSync(SPEC_FD) // whoever holds the pipes for us may go
  return spec
}

function takeOver (text) {
  const spec = JSON.parse(text.toString('utf8'))
  const [requests, replies, log] = spec.pipes
  for (const fd of [1, 2]) replace(fd, log, fs.constants.O_WRONLY)
  replace(REQUEST_FD, requests, fs.constants.O_RDONLY)
  replace(REPLY_FD, replies, fs.constants.O_WRONLY)
  Object.assign(process.env, spec.environment)
  process.chdir(spec.code_dir)
  if (spec.environment.NODE_PATH) require('module').Module._initPaths()
  return spec
}

function readWhole (length) {
  const data = Buffer.alloc(length)
  for (let at = 0; at < length;) {
    const got = fs.readSync(SPEC_FD, data, at, length - at)
    if (!got) return undefined
    at += got
  }
  return data
}

// The lowest number that is free is the one just closed: all below are taken.
function replace (fd, file, flags) {
  fs.closeSync(fd)
  const got = fs.openSync(file, flags)
  if (got !== fd) throw new Error(`descriptor ${fd} became ${got}`)
}

// What the first request touches is loaded and compiled while nobody waits. The channel leads nowhere yet.
async function rehearse () {
  const nowhere = '/dev/null'
  const environment = { TMPDIR: process.env.TMPDIR }
  const spec = takeOver(Buffer.from(JSON.stringify({
    code_dir: __dirname, layer_dirs: [], context: {}, concurrency: 1, environment, pipes: [nowhere, nowhere, nowhere]
  })))
  const played = new Instance(spec, await find(spec, 'rehearsal.handler', 'handler'))
  const inbox = new Inbox((...request) => played.take(...request))
  inbox.feed(frame(1, REQ, END, 0, Buffer.from('1-rehearsal'), Buffer.from('{"n": 1}')))
  new net.Socket({ readable: true, writable: false }).on('data', () => {}).destroy()
  await import('node:path')
  await new Promise(setImmediate)
}

async function start () {
  const ahead = process.argv[2] === 'ahead'
  process.argv.length = 1
  installOutput()
  if (ahead) await rehearse()
  const spec = ahead ? awaitSpec() : readSpec()
  if (spec === undefined) process.reallyExit(UNMADE)
  // Node's own start is most of it, where somebody has waited for it. `performance` would load for 1.5 ms.
  const began = ahead ? process.uptime() : 0
  let instance
  const broken = failure => instance === undefined ? notStarted(failure) : instance.broken(failure)
  process.on('uncaughtException', broken)
  process.on('exit', code => instance?.left(code))
  try {
    setPaths(spec)
    const handler = await find(spec, spec.handler, 'handler')
    const initializer = spec.initializer ? await find(spec, spec.initializer, 'initializer') : undefined
    const preStop = spec.pre_stop ? await find(spec, spec.pre_stop, 'pre-stop hook') : undefined
    instance = new Instance(spec, handler, preStop)
    const importUs = Math.round((process.uptime() - began) * 1e6)
    const loaded = process.hrtime.bigint()
    if (initializer !== undefined) await hook(initializer, instance.context('', {}, outside))
    outside.finish()
    const mode = instance.shared ? 'async' : 'blocking'
    const hello = { protocol: PROTOCOL, mode, importUs, initUs: us(loaded), pid: process.pid }
    write(frame(0, HELLO, 0, 0, Buffer.from(JSON.stringify(hello)), NOTHING))
  } catch (failure) {
    notStarted(failure)
  }
  const inbox = new Inbox((...request) => instance.take(...request))
  const socket = new net.Socket({ fd: REQUEST_FD, readable: true, writable: false })
  socket.on('data', data => inbox.feed(data))
  socket.on('end', () => process.reallyExit(0))
  socket.on('error', () => process.reallyExit(0))
}

function notStarted (failure) {
  outside.finish()
  const [code, told] = describe(failure, E_INIT)
  write(frame(0, ERROR, END, code, NOTHING, told))
  process.reallyExit(1)
}

start()
