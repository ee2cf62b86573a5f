declare module 'marc8' {
  /** Throws a text where a byte has no meaning in MARC-8. */
  const decode: (bytes: Uint8Array, options: { expandNCR: boolean }) => string
  export default decode
}
