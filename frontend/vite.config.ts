/**
 * Builds the entries of src/pages into the Python package. It must not know what a page does.
 * The icon sprite is cut from bootstrap-icons here, so that a page carries only the icons it draws.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

import icons from "./src/ui/icons.json" with { type: "json" };

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Emits icons.svg: one `<symbol id="i-NAME">` per entry of icons.json; templates put it into the page. */
function iconSprite(): Plugin {
  return {
    name: "tidewire-icon-sprite",
    apply: "build",
    generateBundle() {
      const symbols = icons.map((name) => {
        const svg = readFileSync(here(`./node_modules/bootstrap-icons/icons/${name}.svg`), "utf8");
        const body = svg.replace(/^[\s\S]*?<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "");
        return `<symbol id="i-${name}" viewBox="0 0 16 16">${body.replace(/\s*\n\s*/g, "")}</symbol>`;
      });
      const source = `<svg xmlns="http://www.w3.org/2000/svg" class="sprite" aria-hidden="true">${symbols.join("")}</svg>`;
      this.emitFile({ type: "asset", fileName: "icons.svg", source });
    },
  };
}

export default defineConfig({
  base: "/static/",
  plugins: [iconSprite()],
  css: {
    // Bootstrap 5.3 still uses @import and global functions; the noise is theirs, and 5.3 is pinned.
    preprocessorOptions: {
      scss: { quietDeps: true, silenceDeprecations: ["import", "global-builtin", "color-functions", "if-function"] },
    },
  },
  build: {
    outDir: here("../src/tidewire/web/static"),
    emptyOutDir: true,
    manifest: true,
    target: "es2023",
    // An inlined data: script or style would meet the content security policy; files are cached for good anyway.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1600,
    rollupOptions: {
      input: {
        login: here("./src/pages/login.ts"),
        error: here("./src/pages/error.ts"),
        welcome: here("./src/pages/welcome.ts"),
        "admin-websockets": here("./src/pages/admin-websockets.ts"),
        "admin-connections": here("./src/pages/admin-connections.ts"),
        "admin-rooms": here("./src/pages/admin-rooms.ts"),
        "api-docs": here("./src/pages/api-docs.ts"),
        streaming: here("./src/pages/streaming.ts"),
        quotes: here("./src/pages/quotes.ts"),
        quote: here("./src/pages/quote.ts"),
      },
    },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
