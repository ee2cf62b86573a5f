import { Validator } from '@seriousme/openapi-schema-validator'
import { routes } from '../src/app.ts'
import { describeApi } from '../src/openapi.ts'

/** Has somebody else's validator read the OpenAPI document. Run under Node: the validator compiles code, which
 *  workerd forbids. */
const document: Record<string, unknown> = JSON.parse(JSON.stringify(describeApi(routes)))
const { valid, errors } = await new Validator().validate(document)
if (!valid) {
  console.error('The OpenAPI document is not valid:')
  console.error(typeof errors === 'string' ? errors : JSON.stringify(errors, null, 2))
  process.exit(1)
}
console.log(`The OpenAPI document is valid: ${routes.length} operations.`)
