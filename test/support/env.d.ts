declare namespace Cloudflare {
  interface Env {
    DATABASE_ENDPOINT: string
  }
}
