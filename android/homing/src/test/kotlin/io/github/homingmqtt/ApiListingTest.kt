package io.github.homingmqtt

import org.jetbrains.kotlin.abi.tools.AbiFilters
import org.jetbrains.kotlin.abi.tools.AbiTools
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import java.io.File

/** The public API is the one that is listed in docs/api-kotlin.txt: a change of it is seen, and meant. */
class ApiListingTest {
    @Test
    fun `the listing is up to date`() {
        val classes = File(System.getProperty("homing.classes")).walk().filter { it.extension == "class" }.toList()
        val now = StringBuilder().also { AbiTools.getInstance().printJvmDump(it, classes, AbiFilters.EMPTY) }.toString()
        val file = File(System.getProperty("homing.docs"), "api-kotlin.txt")
        if (System.getProperty("homing.api.write") == "true") file.writeText(now)
        val listed = if (file.exists()) file.readText() else ""
        assertEquals(listed, now, "the public API has changed: if that is meant, run mvn test -Dhoming.api.write=true")
    }
}
