// Package fakeallo is a stand-in for Allo's API on this machine, for tests: as strict as the real one, and faulty on
// request. It sends no webhooks: a test posts those itself.
//
// What it promises:
//   - It answers in the shapes of both generations, errors included, and asks for the key in the form (`Api-Key KEY` or
//     the bare key) that Options say. What Allo requires (https, known topics, a number of the workspace, sizes of pages)
//     it requires too.
//   - It keeps Allo's pace, 20 reads and 5 writes a second a key, with 429 and Retry-After; RateLimited counts how often
//     a client ran into it. A write with an Idempotency-Key is carried out once.
//   - It misbehaves when told to (Fault): refuses, cuts before or after it did what was asked, stalls, answers garbage,
//     redirects.
//   - Recordings can be asked for in ranges, can want the key, be gone, be cut or stand still midway.
//   - Calls tells all that it was asked, with the Authorization that came along. It keeps the last 10,000.
//
// What it does not do: contacts, conversations, sending of texts, the dialer, OAuth.
// Source: https://help.withallo.com/en/v2/api-reference/introduction and, for the first generation,
// https://help.withallo.com/en/api-reference/introduction
package fakeallo
