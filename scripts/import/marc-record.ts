/** A MARC record as it is read, whatever it came in: ISO 2709 or XML. */
export type MarcRecord = { leader: string; fields: MarcField[] }
export type MarcField = ControlField | DataField
export type ControlField = { tag: string; value: string }
export type DataField = { tag: string; ind1: string; ind2: string; subfields: Subfield[] }
export type Subfield = { code: string; value: string }

export const isDataField = (field: MarcField): field is DataField => 'subfields' in field

/** As MARC-in-JSON, which is what is kept with a book. */
export const toJson = ({ leader, fields }: MarcRecord) => ({
  leader,
  fields: fields.map((field) =>
    isDataField(field)
      ? {
          [field.tag]: {
            ind1: field.ind1,
            ind2: field.ind2,
            subfields: field.subfields.map(({ code, value }) => ({ [code]: value })),
          },
        }
      : { [field.tag]: field.value },
  ),
})
