import { expect, test } from 'vitest'
import { aBook, aPatron, borrow, giveBack } from './support/library.ts'

test('a patron borrows a book and gives it back', async () => {
  const [patron, book] = await Promise.all([aPatron(), aBook()])
  const loan = await borrow(patron, book)
  expect(loan.status, loan.text).toBe(201)
  const returned = await giveBack(patron, loan.body)
  expect(returned.body.returnedAt).not.toBeNull()
})
