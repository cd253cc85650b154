package jsonscan

import (
	"strings"
	"testing"
	"time"
)

func TestInt(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "-0": 0, "12": 12, "-7": -7, "9223372036854775807": 1<<63 - 1} {
		if got, ok := Int([]byte(in)); !ok || got != want {
			t.Errorf("Int(%s) = %d, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "1.0", "1e3", "9223372036854775808", `"1"`, "null", "true", "[]", strings.Repeat("9", 400)} {
		if n, ok := Int([]byte(in)); ok {
			t.Errorf("Int(%s) = %d, want none", in, n)
		}
	}
}

func TestOtherValues(t *testing.T) {
	if v, ok := Bool([]byte("true")); !v || !ok {
		t.Error("true is not read")
	}
	if v, ok := Bool([]byte("false")); v || !ok {
		t.Error("false is not read")
	}
	if _, ok := Bool([]byte(`"true"`)); ok {
		t.Error("a string is read as a boolean")
	}
	if _, ok := String([]byte("1")); ok {
		t.Error("a number is read as a string")
	}
	if !IsNull(nil) || !IsNull([]byte("null")) || IsNull([]byte("0")) {
		t.Error("IsNull is wrong")
	}
	if got := string(Quote("a\"<b>&\n")); got != `"a\"<b>&\n"` {
		t.Errorf("Quote gives %s", got)
	}
	if got := string(Field([]byte(`{"a":1,"b":{"a":2},"a":3}`), "a")); got != "3" {
		t.Errorf("Field gives %s", got)
	}
}

func TestSplice(t *testing.T) {
	body := []byte(` { "a" : 1, "b":"x" } `)
	o, err := Scan(body)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := o.Get("b")
	got := string(Splice(body, o.Prepend("c", []byte("true")), b.Replace([]byte(`{"y":0}`))))
	if want := ` { "c":true,"a" : 1, "b":{"y":0} } `; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if string(body) != ` { "a" : 1, "b":"x" } ` {
		t.Error("the original was changed")
	}
}

// A string full of escapes must not cost a pass for each escape.
func TestSkipStringIsLinear(t *testing.T) {
	raw := []byte(`["` + strings.Repeat(`\n`, 4<<20) + `"]`)
	done := make(chan int, 1)
	go func() {
		n := 0
		for e := range Elements(raw) {
			n += StringLen(e)
		}
		done <- n
	}()
	select {
	case n := <-done:
		if n != 4<<20 {
			t.Errorf("length %d", n)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("eight megabytes of escapes take more than 20 s")
	}
}
