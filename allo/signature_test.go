package allo_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"allo-slack/allo"
)

// The test vector of Standard Webhooks' own libraries.
const (
	publicSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	publicID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	publicTime      = 1614265330
	publicBody      = `{"test": 2432232314}`
	publicSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

// otherSecret is a second one, without padding.
const otherSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD/A"

func signatureHeader(id, stamp, signature string) http.Header {
	h := http.Header{}
	for name, value := range map[string]string{"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signature} {
		if value != "" {
			h.Set(name, value)
		}
	}
	return h
}

// sum signs as the specification says, without the code under test.
func sum(t testing.TB, secret, id, stamp, body string) []byte {
	t.Helper()
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimPrefix(secret, "whsec_"), "="))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	return mac.Sum(nil)
}

func verifier(t testing.TB, secret string) *allo.Verifier {
	t.Helper()
	v, err := allo.NewVerifier(secret)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSignatures(t *testing.T) {
	stamp := strconv.Itoa(publicTime)
	encode := base64.StdEncoding.EncodeToString
	good := signatureHeader(publicID, stamp, publicSignature)
	with := func(name, value string) http.Header {
		h := maps.Clone(good)
		h.Set(name, value)
		return h
	}
	without := func(name string) http.Header {
		h := maps.Clone(good)
		h.Del(name)
		return h
	}
	const wrong, missing = "does not match", "has no"
	forged := "v1," + encode(make([]byte, 32))
	// A body for which base64url differs from base64.
	odd := sum(t, publicSecret, publicID, stamp, "odd 3")
	if !strings.ContainsAny(encode(odd), "+/") {
		t.Fatal("the vector doesn't tell base64url from base64")
	}

	for _, test := range []struct {
		name   string
		secret string
		header http.Header
		body   string
		after  time.Duration // from the signature to now
		want   string        // in the error; "" is none
	}{
		{"the public vector", publicSecret, good, publicBody, 0, ""},
		{"without padding", publicSecret, with("webhook-signature", strings.TrimRight(publicSignature, "=")), publicBody, 0, ""},
		{"the new secret of two", publicSecret + ", " + otherSecret, good, publicBody, 0, ""},
		{"the old secret of two", otherSecret + "," + publicSecret, good, publicBody, 0, ""},
		{"another secret", otherSecret, good, publicBody, 0, wrong},
		{"signed by two keys, ours first", publicSecret, with("webhook-signature", publicSignature+" "+forged), publicBody, 0, ""},
		{"signed by two keys, ours last", publicSecret, with("webhook-signature", forged+" "+publicSignature), publicBody, 0, ""},
		{"in two lines of the header", publicSecret, http.Header{"Webhook-Id": {publicID}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {forged, publicSignature}}, publicBody, 0, ""},
		{"another version beside it", publicSecret, with("webhook-signature", "v1a,AAAA v2,"+encode(odd)+"  "+publicSignature), publicBody, 0, ""},
		{"another version only", publicSecret, with("webhook-signature", "v2,"+strings.TrimPrefix(publicSignature, "v1,")), publicBody, 0, "no signature of version v1"},
		{"no version", publicSecret, with("webhook-signature", strings.TrimPrefix(publicSignature, "v1,")), publicBody, 0, "no signature of version v1"},
		{"one byte of the body changed", publicSecret, good, publicBody + " ", 0, wrong},
		{"the body written anew", publicSecret, good, `{"test":2432232314}`, 0, wrong},
		{"no body", publicSecret, good, "", 0, wrong},
		{"another id", publicSecret, with("webhook-id", "msg_other"), publicBody, 0, wrong},
		{"another time", publicSecret, with("webhook-timestamp", strconv.Itoa(publicTime+1)), publicBody, 0, wrong},
		{"the time written otherwise", publicSecret, with("webhook-timestamp", "0"+stamp), publicBody, 0, wrong},
		{"cut off", publicSecret, with("webhook-signature", publicSignature[:20]), publicBody, 0, wrong},
		{"all but its version cut off", publicSecret, with("webhook-signature", "v1,"), publicBody, 0, wrong},
		{"base64url", publicSecret, with("webhook-signature", "v1,"+base64.URLEncoding.EncodeToString(odd)), "odd 3", 0, wrong},
		{"base64, for comparison", publicSecret, with("webhook-signature", "v1,"+encode(odd)), "odd 3", 0, ""},
		{"hex", publicSecret, with("webhook-signature", "v1,"+hex.EncodeToString(odd)), "odd 3", 0, wrong},
		{"5 minutes old", publicSecret, good, publicBody, 5 * time.Minute, ""},
		{"over 5 minutes old", publicSecret, good, publicBody, 5*time.Minute + time.Second, "timestamp is 5m1s old"},
		{"11 minutes old", publicSecret, good, publicBody, 11 * time.Minute, "timestamp is 11m0s old; check this machine's clock, or it is a replayed request"},
		{"5 minutes ahead", publicSecret, good, publicBody, -5 * time.Minute, ""},
		{"over 5 minutes ahead", publicSecret, good, publicBody, -5*time.Minute - time.Second, "timestamp is 5m1s ahead"},
		{"a time in words", publicSecret, with("webhook-timestamp", "2021-02-25T15:02:10Z"), publicBody, 0, "not a time in seconds"},
		{"a time with a sign", publicSecret, with("webhook-timestamp", "+"+stamp), publicBody, 0, "not a time in seconds"},
		{"a time in milliseconds", publicSecret, with("webhook-timestamp", stamp+"000"), publicBody, 0, "not a time in seconds"},
		{"a time out of range", publicSecret, with("webhook-timestamp", strings.Repeat("9", 400)), publicBody, 0, "not a time in seconds"},
		{"no id", publicSecret, without("webhook-id"), publicBody, 0, missing + " webhook-id"},
		{"no time", publicSecret, without("webhook-timestamp"), publicBody, 0, missing + " webhook-timestamp"},
		{"no signature", publicSecret, without("webhook-signature"), publicBody, 0, missing + " webhook-signature"},
		{"an empty id", publicSecret, with("webhook-id", " "), publicBody, 0, missing + " webhook-id"},
		{"nothing at all", publicSecret, http.Header{}, publicBody, 0, "no webhook-id and no webhook-timestamp and no webhook-signature"},
		{"many signatures", publicSecret, with("webhook-signature", strings.Repeat(forged+" ", 80)+publicSignature), publicBody, 0, ""},
		{"too many signatures", publicSecret, with("webhook-signature", strings.Repeat(forged+" ", 20_000)+publicSignature), publicBody, 0, "more than any sender needs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := time.Unix(publicTime, 0).Add(test.after)
			err := verifier(t, test.secret).Verify(test.header, []byte(test.body), now)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v, want a good signature", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			case err != nil && !strings.HasPrefix(err.Error(), "signature: "):
				t.Errorf("got %v, want it to begin with %q", err, "signature: ")
			}
		})
	}
}

func TestTheZeroVerifierTakesNothing(t *testing.T) {
	var v allo.Verifier
	header := signatureHeader(publicID, strconv.Itoa(publicTime), publicSignature)
	if err := v.Verify(header, []byte(publicBody), time.Unix(publicTime, 0)); err == nil {
		t.Error("got a good signature, want an error")
	}
}

func TestSigningSecrets(t *testing.T) {
	for _, test := range []struct{ name, secret, want string }{
		{"as Allo gives it", publicSecret, ""},
		{"with padding", "whsec_" + base64.StdEncoding.EncodeToString([]byte("twenty-five bytes of a key")), ""},
		{"with its padding lost", otherSecret, ""},
		{"white space around", " " + publicSecret + "\n", ""},
		{"two", publicSecret + "," + otherSecret, ""},
		{"a comma left behind", publicSecret + ",", ""},
		{"none", "", "is empty"},
		{"only white space", " \n", "is empty"},
		{"only commas", ",,", "is empty"},
		{"three", publicSecret + "," + otherSecret + "," + publicSecret, "there are 3"},
		{"without what it begins with", strings.TrimPrefix(publicSecret, "whsec_"), "doesn't begin with whsec_"},
		{"the second without", publicSecret + ",MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "(number 2) doesn't begin with whsec_"},
		{"not base64", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!", "is not base64"},
		{"base64url", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La-_Sw", "is not base64"},
		{"broken over two lines", "whsec_MfKQ9r8GKYqrTwjU\nPD8ILPZIo2LaLaSw", "is not base64"},
		{"cut off", "whsec_MfKQ9r8G", "holds 6 bytes"},
		{"nothing after its beginning", "whsec_", "holds 0 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := allo.NewVerifier(test.secret)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v, want it taken", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			case err != nil && (strings.Contains(err.Error(), "MfKQ") || strings.Contains(err.Error(), "C2FV")):
				t.Errorf("got %v, which holds a part of the secret", err)
			}
		})
	}
}

func TestAVerifierIsPrintedWithoutItsSecrets(t *testing.T) {
	const want = "signing secrets: 1"
	if got := fmt.Sprintf("%v %+v %#v", verifier(t, publicSecret), verifier(t, publicSecret), verifier(t, publicSecret)); got != want+" "+want+" "+want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSigned(t *testing.T) {
	for _, test := range []struct {
		header string
		want   bool
	}{
		{"webhook-id", true}, {"webhook-timestamp", true}, {"webhook-signature", true}, {"X-Signature", false},
	} {
		h := http.Header{}
		h.Set(test.header, "")
		if got := allo.Signed(h); got != test.want {
			t.Errorf("only %s: got %v, want %v", test.header, got, test.want)
		}
	}
}

// FuzzVerify: whatever the headers say, only the signature over exactly this id, time and body is good.
func FuzzVerify(f *testing.F) {
	f.Add(publicID, strconv.Itoa(publicTime), publicSignature, []byte(publicBody), int64(publicTime))
	f.Add("", "", "", []byte(nil), int64(0))
	f.Add("a.b", "9223372036854775807", "v1, v1,=== v1,AAAA", []byte("{}"), int64(-1<<62))
	v, err := allo.NewVerifier(publicSecret)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, stamp, signature string, body []byte, now int64) {
		at := time.Unix(now%(1<<40), 0)
		right := base64.StdEncoding.EncodeToString(sum(t, publicSecret, id, stamp, string(body)))
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {signature}}
		if err := v.Verify(h, body, at); err == nil && !strings.Contains(signature, strings.TrimRight(right, "=")[:42]) {
			t.Fatalf("took the signature %q for %q, %q, %q", signature, id, stamp, body)
		}
		h.Set("Webhook-Signature", "v1,"+right)
		err := v.Verify(h, body, at)
		seconds, parseErr := strconv.ParseUint(stamp, 10, 40)
		age := at.Unix() - int64(seconds)
		good := parseErr == nil && strings.TrimSpace(id) != "" && age <= 300 && age >= -300
		if good != (err == nil) {
			t.Fatalf("a right signature for %q, %q at %d: got %v, want good %v", id, stamp, at.Unix(), err, good)
		}
	})
}
