// What the system says of the network, told to a client.

#if canImport(Network)
    import Dispatch
    import Network

    /// Tells a client of the network for as long as this is kept: without one no attempts are made, and a new one is used at
    /// once.
    public final class NetworkMonitor: Sendable {
        private let monitor = NWPathMonitor()

        /// Begins at once. The client may go before the monitor.
        public init(_ client: HomingClient) {
            monitor.pathUpdateHandler = { [weak client] path in
                // One that comes up only when it is used, as a VPN on demand, has to be tried.
                let network: Network =
                    path.status == .unsatisfied ? .offline : .online(id: path.availableInterfaces.first?.name)
                // A client that cannot hear of it any more is closed.
                try? client?.networkChanged(network)
            }
            monitor.start(queue: DispatchQueue(label: "homing.network"))
        }

        deinit {
            monitor.cancel()
        }
    }
#endif
