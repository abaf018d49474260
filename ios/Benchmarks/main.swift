import Homing
