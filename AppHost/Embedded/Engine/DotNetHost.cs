using System.Runtime.InteropServices;

namespace Aspire.Hosting.Embedded;

/// <summary>The <c>dotnet</c> that runs us; our projects run on the same.</summary>
internal static class DotNetHost
{
    // …/dotnet/shared/Microsoft.NETCore.App/10.0.x/ → …/dotnet/dotnet
    public static string Path { get; } = System.IO.Path.GetFullPath(
        System.IO.Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet"));
}
