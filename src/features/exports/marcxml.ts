import type { Writer } from './formats.ts'
import { exportedMarc } from './marc-export.ts'
import type { MarcDataField, MarcField, MarcRecord } from './schema.ts'

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** XML 1.0 has no control characters, not even by number. Blanks are data, and stay. */
const escape = (text: string) =>
  text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\ufffe\uffff]/gu, ' ')
    .replaceAll(/[&<>"]/g, (character) => entities[character] ?? '')

const indicator = (value: string) => escape(value === '' ? ' ' : value)

function fieldXml(field: MarcField): string {
  return Object.entries(field)
    .map(([tag, content]) =>
      typeof content === 'string'
        ? `<controlfield tag="${escape(tag)}">${escape(content)}</controlfield>`
        : dataFieldXml(tag, content),
    )
    .join('\n')
}

function dataFieldXml(tag: string, { ind1, ind2, subfields }: MarcDataField): string {
  const parts = subfields
    .flatMap((subfield) => Object.entries(subfield))
    .map(([code, text]) => `<subfield code="${escape(code)}">${escape(text)}</subfield>`)
  return `<datafield tag="${escape(tag)}" ind1="${indicator(ind1)}" ind2="${indicator(ind2)}">${parts.join('')}</datafield>`
}

const recordXml = ({ leader, fields }: MarcRecord) =>
  `<record>\n<leader>${escape(leader)}</leader>\n${fields.map(fieldXml).join('\n')}\n</record>\n`

/** The schema of the Library of Congress, http://www.loc.gov/MARC21/slim. */
export const marcxml: Writer = {
  head: '<?xml version="1.0" encoding="UTF-8"?>\n<collection xmlns="http://www.loc.gov/MARC21/slim">\n',
  write: (item, place) => recordXml(exportedMarc(item, place)),
  tail: '</collection>\n',
}
