using Aspire.Hosting.Embedded;

namespace AiAspire.Unit.AppHosting;

public sealed class ChildProcessTests
{
    /// <summary>As when a killed worker is stopped: whoever watches it may have cleared it away in between.</summary>
    [Fact]
    public async Task A_process_that_has_ended_and_was_cleared_away_can_be_stopped()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "runs sh");
        var folder = Directory.CreateTempSubdirectory("aiaspire-child-");
        try
        {
            using var guard = new ProcessGuard(Path.Combine(folder.FullName, "run"));
            using var log = new ResourceLog(Path.Combine(folder.FullName, "log"), show: null);
            var child = ChildProcess.Start(new ProcessSpec(["/bin/sh", "-c", "exit 3"], folder.FullName), guard, log);
            Assert.Equal(3, await child.WaitForExitAsync(TimeProvider.System));
            child.Dispose();

            await child.StopAsync(TimeProvider.System);
            child.Kill();
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
