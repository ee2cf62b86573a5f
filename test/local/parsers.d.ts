/** What is used of packages that come without types. */

declare module '@natlibfi/marc-record-serializers' {
  type Subfield = { code: string; value: string }
  type Field = { tag: string; value?: string; ind1?: string; ind2?: string; subfields?: Subfield[] }
  type MarcRecord = { leader: string; fields: Field[] }
  export const ISO2709: { from: (text: string, options?: object) => MarcRecord }
  export const MARCXML: { from: (text: string, options?: object) => Promise<MarcRecord> }
}

declare module '@citation-js/core' {
  export const plugins: { input: { chain: (text: string, options?: object) => Record<string, unknown>[] } }
}
declare module '@citation-js/plugin-bibtex'
declare module '@citation-js/plugin-ris'
