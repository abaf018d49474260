// Homing on Apple's systems.
@_exported import Homing
