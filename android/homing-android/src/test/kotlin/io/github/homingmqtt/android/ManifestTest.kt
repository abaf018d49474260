package io.github.homingmqtt.android

import android.content.pm.PackageManager
import android.content.pm.ServiceInfo
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

/** The library's manifest merged into an app's. */
@RunWith(RobolectricTestRunner::class)
class ManifestTest {
    private val app = testApp()
    private val info =
        app.packageManager.getPackageInfo(app.packageName, PackageManager.GET_PERMISSIONS or PackageManager.GET_SERVICES)

    @Test
    fun `permissions of both and none twice`() {
        val asked = info.requestedPermissions!!.toList()
        val expected = listOf("ACCESS_NETWORK_STATE", "FOREGROUND_SERVICE", "INTERNET", "RECEIVE_BOOT_COMPLETED")
        assertEquals(expected.map { "android.permission.$it" }, asked.sorted())
    }

    @Test
    fun `the job is for the system only`() {
        val job = info.services!!.single { it.name == SyncJobService::class.java.name }
        assertFalse(job.exported)
        assertEquals("android.permission.BIND_JOB_SERVICE", job.permission)
        assertTrue(job.enabled)
    }

    @Test
    fun `the app's service keeps its type`() {
        val service = info.services!!.single { it.name == TestConnection::class.java.name }
        assertEquals(ServiceInfo.FOREGROUND_SERVICE_TYPE_DATA_SYNC, service.foregroundServiceType)
    }
}
