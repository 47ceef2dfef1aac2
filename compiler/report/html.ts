/** report.html: one file without network, clock or path. The page's style and script lie in page/, its data is JSON. */
import { readFileSync } from 'node:fs';
import { reportData, type ReportInput } from './data.ts';

const PARTS = ['format.js', 'graph.js', 'kernel.js', 'memory.js', 'costs.js', 'passes.js', 'main.js'];

const part = (name: string): string => readFileSync(new URL(`page/${name}`, import.meta.url), 'utf8');

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escape = (text: string): string => text.replace(/[&<>"]/g, (c) => ENTITIES[c]);

/** JSON that a script element can hold: `<` could end it, and old engines break lines at U+2028 and U+2029. */
export const scriptJson = (value: unknown): string =>
  JSON.stringify(value).replace(/[<\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

export function reportHtml(input: ReportInput): string {
  const data = reportData(input);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(data.model)} — compiled</title>
<link rel="icon" href="data:,">
<style>
${part('style.css')}</style>
</head>
<body>
${part('body.html')}<script id="data" type="application/json">${scriptJson(data)}</script>
<script>
'use strict';
${PARTS.map(part).join('\n')}</script>
</body>
</html>
`;
}
