declare module 'marcjs' {
  export const Marc: {
    format: (record: { leader: string; fields: [tag: string, ...rest: string[]][] }, format: 'iso2709') => string
  }
}
