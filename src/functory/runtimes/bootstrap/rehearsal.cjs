'use strict'
// A small function: what its request touches is loaded and compiled before anybody waits (`rehearse` in node.cjs).

exports.handler = async (event, context) => {
  console.log('rehearsal', context.requestId)
  return { event: JSON.parse(event.toString()), at: new Date(0).toISOString() }
}
