// Homing on Apple's systems: what the system wants of an app that keeps a connection, and where its secrets live.
//
// On other systems this module is `Homing` and nothing else.

@_exported import Homing
