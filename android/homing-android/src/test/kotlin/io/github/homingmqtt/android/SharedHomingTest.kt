package io.github.homingmqtt.android

import io.github.homingmqtt.ConnectionState
import io.github.homingmqtt.Homing
import io.github.homingmqtt.Options
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotSame
import org.junit.Assert.assertNull
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

@RunWith(RobolectricTestRunner::class)
class SharedHomingTest {
    private var begin: suspend (Homing) -> Unit = {}
    private val shared =
        SharedHoming(begin = { begin(it) }) { Homing.open(Options(HomingFiles(testApp()).store, connect = false)) }

    @Test
    fun `a client whose beginning fails is closed and the next one opens the store`() {
        begin = { throw CannotBegin() }
        assertThrows(CannotBegin::class.java) { runBlocking { shared.get() } }
        assertNull(shared.opened)
        begin = {}
        runBlocking {
            assertSame(shared.get(), shared.get())
            shared.shutDown()
        }
    }

    @Test
    fun `a client whose beginning is cancelled is closed too`() {
        runBlocking {
            val begun = CompletableDeferred<Homing>()
            begin = {
                begun.complete(it)
                awaitCancellation()
            }
            val getting = launch(Dispatchers.Default) { shared.get() }
            val homing = begun.await()
            getting.cancelAndJoin()
            assertEquals(ConnectionState.Closed, homing.state.value)
            begin = {}
            shared.get()
            shared.shutDown()
        }
    }

    @Test
    fun `one that the app has closed itself is opened anew`() {
        runBlocking {
            val first = shared.get()
            first.shutDown()
            assertNotSame(first, shared.get())
            shared.get().publish("a", "b")
            shared.shutDown()
        }
    }

    private class CannotBegin : RuntimeException("cannot begin")
}
