package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// KeySize is how many bytes the key has that signs links.
const KeySize = 32

// macSize is how much of the signature a link carries: 128 bits.
const macSize = 16

// maxRule bounds the name of a rule in a link.
const maxRule = 200

var (
	errForged  = errors.New("the link is not one of ours")
	errExpired = errors.New("the link has expired")
)

// claim is what a link names.
type claim struct {
	event    int64
	received time.Time // when the event came in; zero in links that were made before links told it
	rule     string
	expires  time.Time
}

// sign writes a claim as a token. It is the same for the same claim, so that a message that is written again is.
func sign(key []byte, c claim) string {
	b := binary.AppendVarint(nil, c.event)
	b = binary.AppendVarint(b, c.expires.Unix())
	b = append(b, c.rule[:min(len(c.rule), maxRule)]...)
	b = append(b, 0)
	b = binary.AppendVarint(b, c.received.UnixMilli())
	return base64.RawURLEncoding.EncodeToString(append(b, mac(key, b)...))
}

// verify reads a token. The error is errForged or errExpired.
func verify(key []byte, token string, now time.Time) (claim, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) <= macSize {
		return claim{}, errForged
	}
	b, signature := b[:len(b)-macSize], b[len(b)-macSize:]
	if !hmac.Equal(signature, mac(key, b)) {
		return claim{}, errForged
	}
	var c claim
	event, n := binary.Varint(b)
	if n <= 0 {
		return claim{}, errForged
	}
	b = b[n:]
	expires, n := binary.Varint(b)
	if n <= 0 {
		return claim{}, errForged
	}
	rule, received, told := bytes.Cut(b[n:], []byte{0})
	c = claim{event: event, rule: string(rule), expires: time.Unix(expires, 0)}
	if told {
		ms, n := binary.Varint(received)
		if n <= 0 {
			return claim{}, errForged
		}
		c.received = time.UnixMilli(ms)
	}
	if !now.Before(c.expires) {
		return c, errExpired
	}
	return c, nil
}

func mac(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("call page\x00"))
	h.Write(b)
	return h.Sum(nil)[:macSize]
}
