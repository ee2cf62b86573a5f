/// <reference types="@cloudflare/vitest-plugin/types" />

declare namespace Cloudflare {
  interface Env {
    DATABASE_ENDPOINT: string
    /** For what tests do past the Worker. */
    OWNER_DATABASE_URL: string
    LABORATORY: string
    MAIL_HTTP_URL: string
    RANGE_API: string
    EDGE_CACHE: 'on' | 'off'
  }
}

/** Vite's: files as text. */
interface ImportMeta {
  glob: (pattern: string, how: { query: '?raw'; import: 'default'; eager: true }) => Record<string, string>
}
