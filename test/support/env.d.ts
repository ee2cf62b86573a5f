/// <reference types="@cloudflare/vitest-plugin/types" />

declare namespace Cloudflare {
  interface Env {
    DATABASE_ENDPOINT: string
    LABORATORY: string
  }
}

/** Vite's: files as text. */
interface ImportMeta {
  glob: (pattern: string, how: { query: '?raw'; import: 'default'; eager: true }) => Record<string, string>
}
