// The smallest function that uses what it is given.

// Greets whoever was sent; `event` is a Buffer, what is returned is the answer.
exports.handler = async (event, context) => {
  const name = event.toString().trim() || 'world'
  console.log('greeting', name)
  return `Hello, ${name}!`
}
