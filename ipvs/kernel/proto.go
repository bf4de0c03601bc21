package kernel

// Numbers of linux/ip_vs.h and linux/genetlink.h that this package speaks.

const (
	familyName = "IPVS"
	version    = 1

	cmdNewService = 1
	cmdSetService = 2
	cmdDelService = 3
	cmdGetService = 4
	cmdNewDest    = 5
	cmdSetDest    = 6
	cmdDelDest    = 7
	cmdGetDest    = 8
	cmdNewDaemon  = 9
	cmdDelDaemon  = 10
	cmdGetDaemon  = 11
	cmdGetInfo    = 15
	cmdZero       = 16

	attrService = 1
	attrDest    = 2
	attrDaemon  = 3
)

// Attributes of a sync daemon. The group is in network order, the port, unlike
// others, in the machine's.
const (
	daemonState     = 1
	daemonInterface = 2
	daemonID        = 3
	daemonMaxLen    = 4
	daemonGroup     = 5
	daemonGroup6    = 6
	daemonPort      = 7
	daemonTTL       = 8
)

// Attributes of a service.
const (
	svcFamily    = 1
	svcProtocol  = 2
	svcAddress   = 3
	svcPort      = 4
	svcFWMark    = 5
	svcScheduler = 6
	svcFlags     = 7
	svcTimeout   = 8
	svcNetmask   = 9
	svcStats     = 10
	svcEngine    = 11
	svcStats64   = 12
)

// Attributes of a destination.
const (
	dstAddress     = 1
	dstPort        = 2
	dstForwarding  = 3
	dstWeight      = 4
	dstUpper       = 5
	dstLower       = 6
	dstActive      = 7
	dstInactive    = 8
	dstPersistent  = 9
	dstStats       = 10
	dstFamily      = 11
	dstStats64     = 12
	dstTunnelType  = 13
	dstTunnelPort  = 14
	dstTunnelFlags = 15
)

// Attributes of statistics, the same numbers in the 32-bit and 64-bit nests.
const (
	statConns    = 1
	statInPkts   = 2
	statOutPkts  = 3
	statInBytes  = 4
	statOutBytes = 5
	statCPS      = 6
	statInPPS    = 7
	statOutPPS   = 8
	statInBPS    = 9
	statOutBPS   = 10
)

// Attributes of the reply to cmdGetInfo.
const (
	infoVersion   = 1
	infoTableSize = 2
)
