package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"allo-slack/allo"
)

const (
	// writeTime is how long a part of a recording may take to be written to who plays it.
	writeTime = 30 * time.Second
	// part is how much of a recording is held at a time.
	part = 32 << 10
)

// serveRecording streams a recording, or says in a sentence why it can't.
func (p *Pages) serveRecording(w http.ResponseWriter, r *http.Request) {
	secret(w.Header())
	call, err := p.find(r)
	if err == nil && (!call.Recording || call.Event.Call.RecordingURL == "") {
		err = &problem{http.StatusNotFound, "This call has no recording here.", ""}
	}
	var resp *http.Response
	if err == nil {
		resp, err = p.Fetch.Recording(r.Context(), call.Event.Call.RecordingURL, r.Header)
		if err == nil {
			defer resp.Body.Close()
			err = refusal(resp.StatusCode)
		} else {
			if r.Context().Err() != nil {
				return // whoever asked is gone
			}
			p.Log.WarnContext(r.Context(), "a recording can't be fetched", "err", err)
			err = unreachable(err)
		}
	}
	var wrong *problem
	if errors.As(err, &wrong) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(wrong.status)
		_, _ = io.WriteString(w, strings.TrimSpace(wrong.What+" "+wrong.Todo)) // whoever asked may be gone
		return
	}
	head(w.Header(), resp, call.Event.Call.RecordingURL)
	w.WriteHeader(resp.StatusCode)
	if r.Method == http.MethodHead {
		return
	}
	if err := stream(w, resp.Body); err != nil && r.Context().Err() == nil {
		p.Log.WarnContext(r.Context(), "a recording was cut", "err", err)
		// The player must not take what came for all of it.
		panic(http.ErrAbortHandler)
	}
}

// head says what follows. Of Allo's header counts what a player needs.
func head(h http.Header, resp *http.Response, url string) {
	for _, name := range []string{"Content-Length", "Content-Range", "Accept-Ranges", "Last-Modified", "Etag"} {
		if value := resp.Header.Get(name); value != "" {
			h.Set(name, value)
		}
	}
	h.Set("Content-Type", audio(resp.Header.Get("Content-Type"), url))
	h.Set("Content-Disposition", "inline; filename=recording")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
}

// audio is the type of a recording: Allo's, if it is one of sound, else the one that its name tells.
func audio(contentType, url string) string {
	if strings.HasPrefix(contentType, "audio/") && !strings.ContainsAny(contentType, "\r\n") {
		return contentType
	}
	name, _, _ := strings.Cut(url, "?")
	kinds := map[string]string{".mp3": "audio/mpeg", ".wav": "audio/wav", ".m4a": "audio/mp4", ".ogg": "audio/ogg", ".opus": "audio/ogg", ".webm": "audio/webm", ".aac": "audio/aac", ".flac": "audio/flac"}
	if kind := kinds[strings.ToLower(path.Ext(name))]; kind != "" {
		return kind
	}
	return "application/octet-stream"
}

// stream passes a recording on as it comes, and gives each part its own time.
func stream(w http.ResponseWriter, from io.Reader) error {
	out := http.NewResponseController(w)
	buffer := make([]byte, part)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			// A server that can't set it keeps the deadline it has.
			_ = out.SetWriteDeadline(time.Now().Add(writeTime))
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
			_ = out.Flush()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// refusal says why Allo gives no recording; nil if it does.
func refusal(status int) error {
	switch status {
	case http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return &problem{http.StatusBadGateway, "Allo doesn't take the bot's API key for this recording.", "Whoever runs the bot can check it with: allo-slack doctor"}
	case http.StatusNotFound, http.StatusGone:
		return &problem{http.StatusGone, "Allo doesn't have this recording any more.", "The summary and the transcript stay here."}
	case http.StatusTooManyRequests:
		return &problem{http.StatusServiceUnavailable, "Allo is asked for too much at the moment.", "Try again in a minute."}
	}
	return &problem{http.StatusBadGateway, "Allo can't give the recording at the moment.", "Try again in a minute."}
}

// unreachable says why Allo could not be asked.
func unreachable(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, allo.ErrNotAllo):
		return &problem{http.StatusBadGateway, "This recording is not at Allo, so it is not fetched.", "Look for the call in Allo."}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &problem{http.StatusGatewayTimeout, "Allo didn't answer in time.", "Try again in a minute."}
	}
	return &problem{http.StatusBadGateway, "Allo can't be reached at the moment.", "Try again in a minute."}
}
