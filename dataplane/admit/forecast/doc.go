// Package forecast says how much to hold for a request that nobody can know the end of, in integers only.
//
// A worst-case hold refuses "hello" to whoever has little left; no hold at all lets an account spend what it has not.
// Between them are two things: Book, which remembers how much the recent answers of a key and a model took, and Hold, a
// pure function that chooses between that estimate, the worst case, an answer cut to what can be paid, and a refusal.
//
// Book is bounded in memory, never asks a store while a request waits, is shared between replicas through a Store and
// survives a restart by it. What it says is an estimate of tokens: it never decides what is charged.
package forecast
