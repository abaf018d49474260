//! Longer texts of `--help`.

pub(super) const TOP: &str = "Examples:
  homing demo
  homing sub 'home/#' --broker mqtt://localhost
  homing pub home/light on --broker mqtt://localhost --store light.db

Passwords, keys and tokens: not on the command line, where the list of processes shows them.
  HOMING_BROKER=mqtts://kitchen:password@broker.example homing sub 'home/#'
  homing sub 'home/#' --config homing.toml      # user = \"kitchen\", password = \"...\"; chmod 600
  homing sub 'home/#' --tls-cert me.pem --tls-key <(pass show me.key) --broker mqtts://broker.example";
