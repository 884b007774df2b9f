package allo

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/fakeallo"
)

// names is a resolver that answers with addresses in turn, the last of them for ever.
func names(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	var next atomic.Int32
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for {
				var length uint16
				if binary.Read(server, binary.BigEndian, &length) != nil {
					return
				}
				query := make([]byte, length)
				if _, err := io.ReadFull(server, query); err != nil {
					return
				}
				i := min(int(next.Load()), len(addresses)-1)
				reply, answered := dnsReply(query, netip.MustParseAddr(addresses[i]))
				if answered {
					next.Add(1)
				}
				_ = binary.Write(server, binary.BigEndian, uint16(len(reply)))
				if _, err := server.Write(reply); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

// dnsReply answers a query for one name with an address, or with nothing if the query is for the other family.
// Source: RFC 1035, section 4
func dnsReply(query []byte, address netip.Addr) (reply []byte, answered bool) {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root, type and class
	kind := binary.BigEndian.Uint16(query[end-4:])
	reply = append([]byte{}, query[:2]...)
	answered = kind == 1 && address.Is4() || kind == 28 && address.Is6()
	count := byte(0)
	if answered {
		count = 1
	}
	reply = append(reply, 0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0)
	reply = append(reply, query[12:end]...)
	if answered {
		reply = append(reply, 0xc0, 12)
		reply = binary.BigEndian.AppendUint16(reply, kind)
		reply = append(reply, 0, 1, 0, 0, 0, 0)
		reply = binary.BigEndian.AppendUint16(reply, uint16(address.BitLen()/8))
		reply = append(reply, address.AsSlice()...)
	}
	return reply, answered
}

// TestANameThatLeadsInsideIsRefused: the address that counts is the one that is connected to.
func TestANameThatLeadsInsideIsRefused(t *testing.T) {
	address, visitors := door(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1", "fdaa:0:1::3", "::ffff:127.0.0.1"} {
		t.Run(to, func(t *testing.T) {
			conn, err := guardedDialer(names(t, to)).DialContext(t.Context(), "tcp", "storage.withallo.com:"+port)
			if err == nil {
				_ = conn.Close()
			}
			if !errors.Is(err, ErrNotAllo) {
				t.Errorf("dial: got %v, want ErrNotAllo", err)
			}
			api, err := NewAPI("secret", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			api.elsewhere = guardedTransport(names(t, to))
			_, err = api.Recording(t.Context(), "https://storage.withallo.com/x", nil)
			if !errors.Is(err, ErrNotAllo) {
				t.Errorf("recording: got %v, want ErrNotAllo", err)
			}
		})
	}
	// The same resolver and door, without the guard: the test would see a visitor.
	plain := &net.Dialer{Resolver: names(t, "127.0.0.1")}
	if got := visitors.Load(); got != 0 {
		t.Errorf("%d connections came through, want none", got)
	}
	conn, err := plain.DialContext(t.Context(), "tcp", "storage.withallo.com:"+port)
	if err != nil {
		t.Fatalf("without the guard: %v", err)
	}
	_ = conn.Close()
}

// TestANameThatChangesItsMindIsRefused: whoever looked the name up before connecting would have seen a public address.
func TestANameThatChangesItsMindIsRefused(t *testing.T) {
	address, visitors := door(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	resolver := names(t, "93.184.215.14", "127.0.0.1")
	before, err := resolver.LookupHost(t.Context(), "storage.withallo.com")
	if err != nil || len(before) != 1 || before[0] != "93.184.215.14" {
		t.Fatalf("looked up %v, %v, want the public address first", before, err)
	}
	if _, err := guardedDialer(resolver).DialContext(t.Context(), "tcp", "storage.withallo.com:"+port); !errors.Is(err, ErrNotAllo) {
		t.Errorf("got %v, want ErrNotAllo", err)
	}
	if got := visitors.Load(); got != 0 {
		t.Errorf("%d connections came through, want none", got)
	}
}

func TestPublicAddresses(t *testing.T) {
	for _, test := range []struct {
		address string
		want    bool
	}{
		{"93.184.215.14", true}, {"8.8.8.8", true}, {"2606:4700::1111", true}, {"::ffff:8.8.8.8", true}, {"64:ff9b::808:808", true},
		{"172.15.255.255", true}, {"172.32.0.1", true}, {"100.63.255.255", true}, {"223.255.255.255", true},
		{"127.0.0.1", false}, {"127.255.255.254", false}, {"::1", false}, {"::ffff:127.0.0.1", false}, {"::127.0.0.1", false},
		{"0.0.0.0", false}, {"0.1.2.3", false}, {"::", false},
		{"10.1.2.3", false}, {"172.16.0.1", false}, {"172.31.255.255", false}, {"192.168.1.1", false}, {"fd00::1", false}, {"fc00::1", false},
		{"::ffff:10.0.0.1", false}, {"64:ff9b::a00:1", false}, {"64:ff9b::7f00:1", false}, {"64:ff9b:1::808:808", false},
		{"169.254.169.254", false}, {"fe80::1", false}, {"fe80::1%eth0", false}, {"fec0::1", false},
		{"100.64.0.1", false}, {"192.0.0.1", false}, {"198.18.0.1", false}, {"2002:7f00:1::", false}, {"2001::1", false},
		{"192.0.2.1", false}, {"198.51.100.1", false}, {"203.0.113.1", false}, {"2001:db8::1", false}, {"3fff::1", false},
		{"224.0.0.1", false}, {"239.1.1.1", false}, {"ff02::1", false}, {"240.0.0.1", false}, {"255.255.255.255", false}, {"100::1", false},
	} {
		if got := public(netip.MustParseAddr(test.address)); got != test.want {
			t.Errorf("%s: got %v, want %v", test.address, got, test.want)
		}
	}
}

// silent is a server that answers nothing, or a body that stands still after its beginning.
type silent struct{ begins bool }

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if !s.begins {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	body := io.MultiReader(strings.NewReader("beginning"), until{r.Context()})
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body)}, nil
}

type until struct{ ctx context.Context }

func (u until) Read([]byte) (int, error) {
	<-u.ctx.Done()
	return 0, u.ctx.Err()
}

func TestARecordingThatDoesNotComeEnds(t *testing.T) {
	for _, test := range []struct {
		name   string
		begins bool
		after  time.Duration
		want   string
	}{
		{"no answer", false, 10 * time.Second, "recording at storage.withallo.com: no answer within 10s"},
		{"no more of it", true, 30 * time.Second, "the recording stood still for 30s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, err := NewAPI("secret", "", nil)
				if err != nil {
					t.Fatal(err)
				}
				api.elsewhere = silent{begins: test.begins}
				start := time.Now()
				resp, err := api.Recording(t.Context(), "https://storage.withallo.com/x", nil)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
				}
				if err == nil || err.Error() != test.want {
					t.Errorf("got %v, want %q", err, test.want)
				}
				if got := time.Since(start); got != test.after {
					t.Errorf("ended after %s, want %s", got, test.after)
				}
			})
		})
	}
}

// drip is a body that sends a byte every 29 seconds, an hour long.
type drip struct{ left int }

func (d *drip) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	<-time.After(29 * time.Second)
	d.left--
	p[0] = 'x'
	return 1, nil
}

func TestARecordingMayTakeAsLongAsItPlays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := &stream{io.NopCloser(&drip{left: 124}), ctx, cancel}
		// A reader that is slow itself, such as a player that is paused, is no recording that stands still.
		for i := range 124 {
			if n, err := s.Read(make([]byte, 8)); n != 1 || err != nil {
				t.Fatalf("read %d: got %d, %v", i, n, err)
			}
			if i%50 == 0 {
				<-time.After(10 * time.Minute)
			}
		}
		if _, err := s.Read(make([]byte, 8)); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want its end", err)
		}
		if ctx.Err() != nil {
			t.Errorf("canceled: %v", context.Cause(ctx))
		}
	})
}

func TestARecordingThatIsCutIsAnError(t *testing.T) {
	fake, api := recordings(t)
	fake.AddRecording("/cut", fakeallo.Recording{Body: sound, CutAt: 1000})
	resp, err := api.Recording(t.Context(), api.base.String()+"/cut", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil || len(body) != 1000 {
		t.Errorf("got %d bytes, %v, want 1000 and an error", len(body), err)
	}
}

func TestARecordingEndsWithItsReader(t *testing.T) {
	fake, api := recordings(t)
	fake.AddRecording("/stalls", fakeallo.Recording{Body: sound, StallAt: 1000})
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := api.Recording(ctx, api.base.String()+"/stalls", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := resp.Body.Read(make([]byte, 8)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it canceled", err)
	}
}
