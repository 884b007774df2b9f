package allo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed event. Allo's second generation follows Standard Webhooks.
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

const (
	// tolerance is how far a signature's time may be from ours, either way: what is older may be a replay.
	tolerance = 5 * time.Minute
	// minKey is the fewest bytes of a signing key, 128 bits. Allo's have 24; less is a secret that was cut off.
	minKey = 16
	// maxSignatures is how long the header of signatures may be, in bytes. One takes 47.
	maxSignatures = 4 << 10
	secretPrefix  = "whsec_"
)

// Verifier checks that an event comes from Allo. It may be used by several goroutines at once; the zero value takes
// nothing.
type Verifier struct{ keys [][]byte }

// NewVerifier reads a signing secret as Allo gives it, `whsec_` and base64 (with or without padding), or two of them
// separated by a comma while rotating. The error says what to do and holds nothing of a secret.
func NewVerifier(secret string) (*Verifier, error) {
	parts := strings.Split(secret, ",")
	v := &Verifier{}
	for i, one := range parts {
		one = strings.TrimSpace(one)
		which := ""
		if len(parts) > 1 {
			which = fmt.Sprintf(" (number %d)", i+1)
		}
		if one == "" {
			if len(parts) > 1 {
				continue // a comma left behind after rotating
			}
			return nil, errors.New("the signing secret is empty; Allo shows it when a webhook of its second generation is created")
		}
		encoded, ok := strings.CutPrefix(one, secretPrefix)
		if !ok {
			return nil, fmt.Errorf("the signing secret%s doesn't begin with %s; copy it from Allo as a whole", which, secretPrefix)
		}
		key, ok := decodeBase64(encoded)
		if !ok {
			return nil, fmt.Errorf("the signing secret%s is not base64 after %s; copy it from Allo as a whole", which, secretPrefix)
		}
		if len(key) < minKey {
			return nil, fmt.Errorf("the signing secret%s holds %d bytes, at least %d are needed; copy it from Allo as a whole", which, len(key), minKey)
		}
		v.keys = append(v.keys, key)
	}
	switch {
	case len(v.keys) == 0:
		return nil, errors.New("the signing secret is empty; Allo shows it when a webhook of its second generation is created")
	case len(v.keys) > 2:
		return nil, fmt.Errorf("there are %d signing secrets; one, or two separated by a comma while rotating", len(v.keys))
	}
	return v, nil
}

// String tells how many secrets there are, not which.
func (v *Verifier) String() string { return fmt.Sprintf("signing secrets: %d", len(v.keys)) }

// GoString hides the secrets as well.
func (v *Verifier) GoString() string { return v.String() }

// decodeBase64 reads the standard alphabet, with or without padding. The library would pass over line breaks.
func decodeBase64(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	enc := base64.RawStdEncoding
	if strings.HasSuffix(s, "=") {
		enc = base64.StdEncoding
	}
	b, err := enc.DecodeString(s)
	return b, err == nil
}

// Signed reports whether a request says that it is signed: any of the three headers is there. Such a request is to be
// verified, whatever else it is.
func Signed(h http.Header) bool {
	return len(h[headerID]) > 0 || len(h[headerTimestamp]) > 0 || len(h[headerSignature]) > 0
}

// Verify reports why a request is not to be believed; nil is a good signature over exactly this id, time and body. The
// body must be as it came, to the byte. It is not told here whether the same event came before.
//
// Of the signatures in the header, separated by spaces, one has to match one of the keys; those of other versions than
// v1 are passed over. The time may be five minutes off, either way.
func (v *Verifier) Verify(h http.Header, body []byte, now time.Time) error {
	id, stamp := h.Get(headerID), h.Get(headerTimestamp)
	signatures := strings.Join(h[headerSignature], " ")
	var missing []string
	for _, header := range []struct{ name, value string }{{headerID, id}, {headerTimestamp, stamp}, {headerSignature, signatures}} {
		if strings.TrimSpace(header.value) == "" {
			missing = append(missing, strings.ToLower(header.name))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("signature: the request has no %s; see that no proxy on the way takes headers away, or it is not Allo's", strings.Join(missing, " and no "))
	}
	if err := checkTime(stamp, now); err != nil {
		return err
	}
	if len(signatures) > maxSignatures {
		return fmt.Errorf("signature: the header webhook-signature has %d bytes, more than any sender needs; it is not Allo's", len(signatures))
	}

	sums := make([][]byte, len(v.keys))
	for i, key := range v.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		sums[i] = mac.Sum(nil)
	}
	ofOurVersion := 0
	for one := range strings.FieldsSeq(signatures) {
		encoded, ok := strings.CutPrefix(one, "v1,")
		if !ok {
			continue
		}
		ofOurVersion++
		got, ok := decodeBase64(encoded)
		if !ok {
			continue
		}
		for _, sum := range sums {
			if hmac.Equal(got, sum) {
				return nil
			}
		}
	}
	if ofOurVersion == 0 {
		return errors.New("signature: the header webhook-signature holds no signature of version v1; see whether Allo's documentation names a new one")
	}
	return errors.New("signature: it does not match; check ALLO_SIGNING_SECRET against the webhook at Allo, or the request was changed or is not Allo's")
}

// checkTime compares the time of a signature, in seconds since 1970, with ours.
func checkTime(stamp string, now time.Time) error {
	seconds, err := strconv.ParseUint(stamp, 10, 40)
	if err != nil {
		return errors.New("signature: the header webhook-timestamp is not a time in seconds since 1970; it is not Allo's")
	}
	switch age := now.Sub(time.Unix(int64(seconds), 0)).Round(time.Second); {
	case age > tolerance:
		return fmt.Errorf("signature: timestamp is %s old; check this machine's clock, or it is a replayed request", age)
	case age < -tolerance:
		return fmt.Errorf("signature: timestamp is %s ahead; check this machine's clock, or it is not Allo's", -age)
	}
	return nil
}
