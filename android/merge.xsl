<?xml version="1.0" encoding="UTF-8"?>
<!-- The app's manifest with the library's permissions and components: as much of Android's merger as these two need. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:android="http://schemas.android.com/apk/res/android">
  <xsl:param name="library" />
  <xsl:variable name="from" select="document(concat('file://', $library))/manifest" />

  <xsl:template match="@*|node()">
    <xsl:copy>
      <xsl:apply-templates select="@*|node()" />
    </xsl:copy>
  </xsl:template>

  <xsl:template match="/manifest/application">
    <xsl:variable name="mine" select="/manifest/uses-permission/@android:name" />
    <xsl:copy-of select="$from/uses-permission[not(@android:name = $mine)]" />
    <xsl:copy>
      <xsl:apply-templates select="@*|node()" />
      <xsl:copy-of select="$from/application/*" />
    </xsl:copy>
  </xsl:template>
</xsl:stylesheet>
