/** The codes of ISO 639-1, each beside that of MARC 21 (ISO 639-2/B). */
const MARC_CODES = `
  aaaar ababk afafr akaka sqalb amamh arara anarg hyarm asasm avava aeave ayaym azaze babak bmbam eubaq bebel
  bnben bhbih bibis bsbos brbre bgbul mybur cacat chcha ceche zhchi cuchu cvchv kwcor cocos crcre cscze dadan
  dvdiv nldut dzdzo eneng eoepo etest eeewe fofao fjfij fifin frfre fyfry ffful kageo deger gdgla gagle glglg
  gvglv elgre gngrn guguj hthat hahau heheb hzher hihin hohmo hrhrv huhun igibo isice ioido iiiii iuiku ieile
  iaina idind ikipk itita jvjav jajpn klkal knkan kskas krkau kkkaz kmkhm kikik rwkin kykir kvkom kgkon kokor
  kjkua kukur lolao lalat lvlav lilim lnlin ltlit lbltz lulub lglug mkmac mhmah mlmal mimao mrmar msmay mgmlg
  mtmlt mnmon nanau nvnav nrnbl ndnde ngndo nenep nnnno nbnob nonor nynya ococi ojoji orori omorm ososs papan
  faper pipli plpol ptpor pspus quque rmroh rorum rnrun rurus sgsag sasan sisin skslo slslv sesme smsmo snsna
  sdsnd sosom stsot esspa scsrd srsrp ssssw susun swswa svswe tytah tatam tttat tetel tgtgk tltgl ththa botib
  titir toton tntsn tstso tktuk trtur twtwi uguig ukukr ururd uzuzb veven vivie vovol cywel wawln wowol xhxho
  yiyid yoyor zazha zuzul
`

/** ISO 639-3 has the terminological codes of ISO 639-2, which MARC spells otherwise. */
const BIBLIOGRAPHIC =
  'sqialb hyearm eusbaq myabur zhochi cescze nlddut frafre katgeo deuger ellgre islice mkdmac mrimao msamay fasper ronrum slkslo bodtib cymwel'

const codes = new Map([
  ...[...MARC_CODES.matchAll(/([a-z]{2})([a-z]{3})/g)].map(([, own = '', marc = '']) => [own, marc] as const),
  ...[...BIBLIOGRAPHIC.matchAll(/([a-z]{3})([a-z]{3})/g)].map(([, own = '', marc = '']) => [own, marc] as const),
])

/** What MARC calls the language of a BCP 47 tag, in which script or country it may be; 'und' for none. */
export function marcLanguage(tag: string | null): string {
  const [language = ''] = tag?.split('-') ?? []
  return codes.get(language) ?? (language.length === 3 ? language : 'und')
}

/** Whether the tag says no more than MARC's code does. */
export const isPlainLanguage = (tag: string | null) => tag === null || !tag.includes('-')

/** The articles with which titles begin, and which are not sorted by (MARC 21, appendix F). */
const articles: Record<string, string> = {
  en: 'the a an',
  fr: "le la les l' un une",
  de: 'der die das ein eine',
  es: 'el la los las un una',
  it: "il lo la gli le i l' un uno una un'",
  pt: 'o a os as um uma',
  nl: "de het een 't",
  ca: "el la els les l' un una",
  da: 'den det de en et',
  sv: 'den det de en ett',
  nb: 'den det de en et ei',
  hu: 'a az egy',
}

/** How many characters of the title are not sorted by. */
export function nonfilingCharacters(title: string, language: string | null): number {
  const own = articles[language?.split('-')[0] ?? '']?.split(' ') ?? []
  const [, article = '', space = ''] = /^([^\s'’]+['’]|'t|[^\s'’]+)(\s*)\S/.exec(title) ?? []
  const isArticle = own.includes(article.toLowerCase().replace('’', "'"))
  return isArticle && (space !== '' || article.endsWith("'") || article.endsWith('’'))
    ? article.length + space.length
    : 0
}
