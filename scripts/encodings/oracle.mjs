// What an implementation of the Encoding Standard makes of every label and every sequence of two bytes, as JSON.
//
//     npm install @exodus/bytes@1.16.0        in FOLDER
//     node scripts/encodings/oracle.mjs FOLDER > facts.json
//     python -m scripts.encodings.make facts.json
//
// @exodus/bytes passes the web platform's tests. The decoders of Node do not: at 20.20 they differ in koi8-u, windows-874,
// windows-1253, windows-1255 and most of several bytes.
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const folder = resolve(process.argv[2])
const at = createRequire(join(folder, 'here.js'))
const packageFile = at.resolve('@exodus/bytes/encoding.js')
const { TextDecoder: Decoder, normalizeEncoding } = await import(pathToFileURL(packageFile))
const { default: names } = await import(pathToFileURL(join(packageFile, '..', 'fallback', 'encoding.labels.js')))

const MULTIBYTE = ['big5', 'euc-jp', 'euc-kr', 'gb18030', 'gbk', 'iso-2022-jp', 'shift_jis', 'utf-16be', 'utf-16le', 'utf-8']

const labels = {}
for (const [name, others] of Object.entries(names)) {
  for (const label of [name, ...others]) {
    if (normalizeEncoding(label) !== name) throw new Error(`${label} is ${normalizeEncoding(label)}, not ${name}`)
    labels[label] = name
  }
}
const encodings = [...new Set(Object.values(labels))].filter((name) => name !== 'replacement').sort()
const single = encodings.filter((name) => !MULTIBYTE.includes(name))

const decode = (name, bytes) => new Decoder(name, { ignoreBOM: true }).decode(Uint8Array.from(bytes))
const codes = (text) => [...text].map((c) => c.codePointAt(0))
const digest = (text) => createHash('sha256').update(text, 'utf8').digest('hex').slice(0, 8)
const range = (start, end) => Array.from({ length: end - start }, (_, i) => start + i)

// Tables: the code points of the upper half of every single-byte encoding, and of every sequence of two bytes.
const tables = {}
for (const name of single) {
  tables[name] = range(128, 256).map((byte) => codes(decode(name, [byte]))[0])
}
const pairs = (name, leads, trails) => leads.map((lead) => trails.map((trail) => {
  const got = codes(decode(name, [lead, trail]))
  return got.includes(0xfffd) ? null : got
}))
const TRAILS = range(0x40, 0xff)
tables.big5 = pairs('big5', range(0x81, 0xff), TRAILS)
tables['euc-kr'] = pairs('euc-kr', range(0x81, 0xff), TRAILS)
tables.gbk = pairs('gbk', range(0x81, 0xff), TRAILS)
tables.shift_jis = pairs('shift_jis', [...range(0x81, 0xa0), ...range(0xe0, 0xfd)], TRAILS)
tables.jis0208 = pairs('euc-jp', range(0xa1, 0xff), range(0xa1, 0xff))
tables.jis0212 = range(0xa1, 0xff).map((lead) => range(0xa1, 0xff).map((trail) => {
  const got = codes(decode('euc-jp', [0x8f, lead, trail]))
  return got.includes(0xfffd) ? null : got
}))

// The ranges of four-byte GB 18030 within the BMP: (first pointer, its code point) wherever code points jump.
tables.gb18030_ranges = []
let last = -1
for (let pointer = 0; pointer < 39420; pointer++) {
  const bytes = [0x81 + Math.floor(pointer / 12600), 0x30 + (Math.floor(pointer / 1260) % 10),
    0x81 + (Math.floor(pointer / 10) % 126), 0x30 + (pointer % 10)]
  const [code] = codes(decode('gb18030', bytes))
  if (code !== last + 1) tables.gb18030_ranges.push([pointer, code])
  last = code
}

// Golden digests. A block is decoded as one stream, each sequence followed by a line feed; the random strings alone, so
// that the end of a stream comes after any byte.
const block = (name, prefix, suffix = []) =>
  digest(decode(name, range(0, 256).flatMap((byte) => [...prefix, byte, ...suffix, 10])))
const golden = {}
for (const name of encodings) {
  golden[name] = single.includes(name) ? [digest(decode(name, range(0, 256)))] : range(0, 256).map((lead) => block(name, [lead]))
}
golden['iso-2022-jp in jis0208'] = range(0, 256).map((lead) => block('iso-2022-jp', [0x1b, 0x24, 0x42, lead], [0x1b, 0x28, 0x42]))
for (const [state, mark] of [['roman', 0x4a], ['katakana', 0x49]]) {
  golden[`iso-2022-jp in ${state}`] = [block('iso-2022-jp', [0x1b, 0x28, mark], [0x1b, 0x28, 0x42])]
}
golden['euc-jp of three bytes'] = range(0, 256).map((lead) => block('euc-jp', [0x8f, lead]))
golden['gb18030 of four bytes'] = range(0x81, 0xff).map((first) => digest(decode('gb18030',
  range(0x30, 0x3a).flatMap((second) => range(0x81, 0xff).flatMap((third) =>
    range(0x30, 0x3a).flatMap((fourth) => [first, second, third, fourth, 10]))))))

const SYNTAX = [0x0a, 0x1b, 0x24, 0x28, 0x42, 0x40, 0x4a, 0x49, 0x30, 0x39, 0x5c, 0x7e, 0x61, 0x80, 0x8e, 0x8f, 0xa0, 0xff, 0xd8, 0xdc]
let state = 2463534242
const next = () => { // Marsaglia's xorshift32
  state ^= state << 13; state ^= state >>> 17; state ^= state << 5; state >>>= 0
  return state
}
for (const name of encodings) {
  golden[`${name}, random`] = range(0, 8).map(() => digest(range(0, 64).map(() => {
    const bytes = range(0, next() % 24).map(() => {
      const drawn = next()
      return drawn % 3 ? (drawn >>> 8) & 0xff : SYNTAX[(drawn >>> 8) % SYNTAX.length]
    })
    return decode(name, bytes)
  }).join('\n')))
}
process.stdout.write(JSON.stringify({ labels, tables, golden }))
