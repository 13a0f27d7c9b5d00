// The subject of `testing.checks.runtime` for Node.js.
let state = 'new'
let waiting

exports.initialize = (context, callback) => {
  if (process.env.INIT_FAILS) return callback(new Error('not today'))
  state = 'initialized'
  callback(null)
}

exports.hook = async () => { console.log('pre-stop ran') }

const meet = () => new Promise(resolve => {
  if (waiting === undefined) {
    waiting = resolve
  } else {
    waiting('met')
    waiting = undefined
    resolve('met')
  }
})

const DO = {
  fail: () => { throw new RangeError('on purpose') },
  print: told => { console.log(told.text); return 'printed' },
  env: told => process.env[told.name] ?? '',
  context: (told, context) => ({
    requestId: context.requestId,
    function: context.function.name,
    region: context.region,
    retryCount: context.retryCount
  }),
  state: () => state,
  exit: told => process.exit(told.code),
  hang: () => new Promise(() => {}),
  meet,
  stream: async function * () { yield 'one'; yield 'two'; yield 'three' }
}

exports.handler = async (event, context) => {
  if (event[0] !== 0x7b) return event
  const told = JSON.parse(event)
  return DO[told.do](told, context)
}
