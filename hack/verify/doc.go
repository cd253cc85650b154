// Package verify holds the tests that look at the tree itself: the arrows between the rooms, no floating point in money,
// doc comments, file sizes, PROJECT and the chart. They read source files only and need nothing running.
package verify
