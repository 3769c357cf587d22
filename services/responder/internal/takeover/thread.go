package takeover

import (
	"github.com/parley-dm/parley/pkg/dm"
)

// ourselves stands for our app where the owner of a thread is named.
const ourselves = "parley"

// owner is whose the thread is after a thread control event; false if the event does not say, or changes nothing. app is what
// is known of another app's hold.
//
// With our app's id the event says it. Without, a pass is taken for a pass back to us if another app has the thread, unless it
// goes to that very app; otherwise for a pass away from us.
func owner(e *dm.Event, appID string, app *dm.Hold) (string, bool) {
	switch {
	case e.Control == "request":
		return "", false // asked for, not given
	case appID != "" && e.NewOwner == appID:
		return ourselves, true
	case appID != "" && e.NewOwner != "":
		return e.NewOwner, true
	case e.Control == "take":
		return e.NewOwner, true // told to the app that loses it
	case appID != "":
		return "", e.OldOwner == appID // passed on to nobody who is named
	case app == nil || app.Holder != dm.HolderApp || e.NewOwner != "" && e.NewOwner == app.By:
		return e.NewOwner, true
	default:
		return ourselves, true
	}
}
