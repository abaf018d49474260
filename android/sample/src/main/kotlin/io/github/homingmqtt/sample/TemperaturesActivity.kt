// The one screen: last temperatures, as they lie in the store and as they come.

package io.github.homingmqtt.sample

import android.app.Activity
import android.os.Bundle
import android.widget.CheckBox
import android.widget.LinearLayout
import android.widget.TextView
import io.github.homingmqtt.Homing
import io.github.homingmqtt.HomingException
import io.github.homingmqtt.android.ConnectionService
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.MainScope
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch

/** Last temperatures of each room. */
class TemperaturesActivity : Activity() {
    private val scope: CoroutineScope = MainScope()
    private val rooms = sortedMapOf<String, Temperature>()
    private lateinit var state: TextView
    private lateinit var list: TextView

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        state = TextView(this)
        list =
            TextView(this).apply {
                textSize = 24f
                setText(R.string.nothing_yet)
            }
        val keep =
            CheckBox(this).apply {
                setText(R.string.keep)
                setOnCheckedChangeListener { _, wanted -> keep(wanted) }
            }
        setContentView(
            LinearLayout(this).apply {
                orientation = LinearLayout.VERTICAL
                listOf(state, keep, list).forEach(::addView)
                // From target SDK 35 on the system's bars lie over the app.
                setOnApplyWindowInsetsListener { view, insets ->
                    @Suppress("DEPRECATION")
                    view.setPadding(MARGIN, insets.systemWindowInsetTop + MARGIN, MARGIN, insets.systemWindowInsetBottom)
                    insets
                }
            },
        )
        scope.launch { show() }
    }

    private suspend fun show() {
        try {
            val homing = (application as SampleApp).homing.get()
            scope.launch { homing.state.collect { state.text = it.words() } }
            kept(homing)
            homing.consumer("screen").consume { Temperature.of(it)?.let(::draw) }
        } catch (error: HomingException) {
            state.text = error.message
        }
    }

    /** What lies in the store is there at once, without a network. */
    private suspend fun kept(homing: Homing) {
        homing.reader().use { reader ->
            var after: String? = null
            do {
                val page = reader.last(Temperature.FILTER, after)
                page.items.mapNotNull { Temperature.of(it.message) }.forEach(::draw)
                after = page.next
            } while (after != null)
        }
    }

    private fun draw(temperature: Temperature) {
        rooms[temperature.room] = temperature
        list.text = rooms.values.joinToString("\n")
    }

    private fun keep(wanted: Boolean) {
        if (wanted) {
            ConnectionService.start(this, SampleConnection::class.java)
        } else {
            ConnectionService.stop(this, SampleConnection::class.java)
        }
    }

    override fun onDestroy() {
        scope.cancel()
        super.onDestroy()
    }

    private companion object {
        const val MARGIN = 32
    }
}
