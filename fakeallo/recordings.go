package fakeallo

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"
)

// Recording is what is answered at a path. The zero value is an empty one that needs no key.
type Recording struct {
	Body     []byte
	Type     string        // audio/mpeg
	NeedsKey bool          // 401 without one that is taken
	Status   int           // answered instead, such as 404 or 410
	Redirect string        // answered instead: 302 to this URL
	CutAt    int           // bytes of an answer after which the connection is cut; 0 never
	StallAt  int           // bytes of an answer after which no more come; 0 never
	Chunk    int           // with Pause: this many bytes, then a pause
	Pause    time.Duration // in real time
}

// AddRecording answers a path, such as /v1/assets/recordings/abc, with a recording. Ranges can be asked for.
func (s *Server) AddRecording(path string, r Recording) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recordings[path] = r
}

// serveRecording answers if there is a recording at the request's path.
func (s *Server) serveRecording(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	rec, there := s.recordings[r.URL.Path]
	s.mu.Unlock()
	if !there || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if _, known := s.key(r); rec.NeedsKey && !known {
		refuse(w, r, http.StatusUnauthorized, "API_KEY_INVALID", "The API key is invalid or does not exist.")
		return true
	}
	switch {
	case rec.Redirect != "":
		w.Header().Set("Location", rec.Redirect)
		w.WriteHeader(http.StatusFound)
		return true
	case rec.Status != 0:
		refuse(w, r, rec.Status, "RECORDING_NOT_FOUND", "There is no such recording.")
		return true
	}
	sum := sha256.Sum256(rec.Body)
	w.Header().Set("Content-Type", cmp.Or(rec.Type, "audio/mpeg"))
	w.Header().Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:9])+`"`)
	http.ServeContent(&paced{ResponseWriter: w, request: r, recording: rec}, r, "", time.Time{}, bytes.NewReader(rec.Body))
	return true
}

// paced sends a recording as slowly and as incompletely as it is to be.
type paced struct {
	http.ResponseWriter
	request   *http.Request
	recording Recording
	sent      int
}

// Write sends what is allowed to be sent.
func (p *paced) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		n := len(b) - written
		if p.recording.Pause > 0 {
			n = min(n, max(p.recording.Chunk, 1))
		}
		for _, at := range []int{p.recording.CutAt, p.recording.StallAt} {
			if at > 0 {
				n = min(n, max(at-p.sent, 0))
			}
		}
		sent, err := p.ResponseWriter.Write(b[written : written+n])
		p.sent, written = p.sent+sent, written+sent
		if err != nil {
			return written, err
		}
		if f, ok := p.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		switch {
		case p.recording.CutAt > 0 && p.sent >= p.recording.CutAt:
			panic(http.ErrAbortHandler)
		case p.recording.StallAt > 0 && p.sent >= p.recording.StallAt:
			pause(p.request, 0)
			panic(http.ErrAbortHandler)
		case p.recording.Pause > 0 && !pause(p.request, p.recording.Pause):
			panic(http.ErrAbortHandler)
		}
	}
	return written, nil
}
